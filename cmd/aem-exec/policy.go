package main

import (
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/spf13/cobra"

	"github.com/aem-exec/aem-exec/policy"
	"github.com/aem-exec/aem-exec/supervisor"
)

func (p *program) policyVerb() *cobra.Command {
	return p.group(&cobra.Command{Use: "policy", Short: "Show which system calls an app may make, or learn which it makes"},
		p.policyShowVerb(), p.policyLearnVerb())
}

func (p *program) policyShowVerb() *cobra.Command {
	return p.jsonFlag(&cobra.Command{
		Use:   "show APP",
		Short: "Show what the filters of an app do on this host, and what is told of it",
		Args:  cobra.ExactArgs(1),
		RunE:  p.verb(func(_ *cobra.Command, args []string) error { return p.showPolicy(args[0]) }),
	})
}

// policyAbout is the system call policy of an app, as --json has it.
type policyAbout struct {
	App      string        `json:"app"`
	Mode     string        `json:"mode"`  // enforce or log
	Start    *filterAbout  `json:"start"` // from before the program begins; null: none
	Ready    *filterAbout  `json:"ready"` // besides, from readiness on
	Shielded []shieldAbout `json:"shielded"`
}

// filterAbout is one filter. Answers are words: allow, log, errno EPERM, trace 7, trap, kill thread, kill process.
type filterAbout struct {
	Profile      string                `json:"profile"` // default, handler, or a file
	Instructions int                   `json:"instructions"`
	Flags        []string              `json:"flags"`
	Archs        []string              `json:"architectures"`
	Otherwise    string                `json:"otherwise"` // what no rule speaks of
	Newer        string                `json:"newer"`     // calls that are not known here
	Foreign      string                `json:"foreign"`   // calls of other architectures
	Answers      map[string][]string   `json:"answers"`   // calls of this machine's own architecture, by what they get whatever their arguments
	ByArguments  map[string][]caseText `json:"by_arguments"`
	Told         []toldAbout           `json:"told"`
	OCI          *specs.LinuxSeccomp   `json:"oci"` // what holds here, in the form of the runtime specification

	order []string // of Answers
}

// caseText is what a call gets if its arguments are so; the last case has no condition.
type caseText struct {
	If     string `json:"if"`
	Answer string `json:"answer"`
}

// toldAbout is what becomes of a call that gets an answer, and what is told of it here.
type toldAbout struct {
	Action  string `json:"action"`
	Handler string `json:"handler"`
	Told    string `json:"told"`
	Missing string `json:"missing,omitempty"` // why it is not told
}

// shieldAbout is a call that looks into other processes, or holds up who writes into one.
type shieldAbout struct {
	Call   string `json:"call"`
	Why    string `json:"why"`
	Passes bool   `json:"passes"` // the app may make it
}

func (p *program) showPolicy(name string) error {
	file, err := p.load()
	if err != nil {
		return err
	}
	app, err := appNamed(file.Options.Apps, name)
	if err != nil {
		return err
	}
	about, err := aboutPolicy(app)
	if err != nil {
		return err
	}
	if p.json {
		return p.printJSON(about)
	}
	return p.printPolicy(about)
}

// appNamed is an app of the file.
func appNamed(apps []supervisor.App, name string) (*supervisor.App, error) {
	var names []string
	for i := range apps {
		if names = append(names, apps[i].Name); apps[i].Name == name {
			return &apps[i], nil
		}
	}
	return nil, usageError{fmt.Errorf("no app %q in the file (%s)", name, strings.Join(names, ", "))}
}

func aboutPolicy(app *supervisor.App) (about policyAbout, err error) {
	host, err := policy.ThisHost(app.Confinement.Capabilities)
	if err != nil {
		return about, err
	}
	about = policyAbout{App: app.Name, Mode: "enforce"}
	stage := policy.Only
	if app.SeccompReady != nil {
		stage = policy.First
	}
	var start, ready *policy.Summary
	if about.Start, start, err = aboutFilter(app.Seccomp, host, stage); err != nil {
		return about, fmt.Errorf("policy.seccomp: %w", err)
	}
	if about.Ready, ready, err = aboutFilter(app.SeccompReady, host, policy.Ready); err != nil {
		return about, fmt.Errorf("policy.seccomp_ready: %w", err)
	}
	for _, p := range []*policy.Profile{app.Seccomp, app.SeccompReady} {
		if p != nil && p.LogOnly {
			about.Mode = "log"
		}
	}
	for _, s := range policy.Shielded {
		about.Shielded = append(about.Shielded, shieldAbout{s.Call, s.Why, start.Passes(s.Call) && ready.Passes(s.Call)})
	}
	return about, nil
}

// aboutFilter is nil without a profile.
func aboutFilter(p *policy.Profile, host policy.Host, stage policy.Stage) (*filterAbout, *policy.Summary, error) {
	if p == nil {
		return nil, nil, nil
	}
	s, err := policy.Summarize(p, host, stage)
	if err != nil {
		return nil, nil, err
	}
	f := &filterAbout{
		Profile: p.Name, Instructions: s.Instructions, Flags: []string{}, Archs: []string{}, Otherwise: s.Otherwise.String(),
		Newer: s.Newer.String(), Foreign: s.Foreign.String(), Answers: map[string][]string{}, ByArguments: map[string][]caseText{},
		Told: []toldAbout{}, OCI: p.Resolve(host).OCI(),
	}
	for _, flag := range p.Flags {
		f.Flags = append(f.Flags, string(flag))
	}
	for _, a := range s.Architectures {
		f.Archs = append(f.Archs, string(a))
	}
	for _, t := range supervisor.ToldHere(p) {
		f.Told = append(f.Told, toldAbout(t))
	}
	for _, c := range s.Calls {
		f.add(&c)
	}
	return f, s, nil
}

func (f *filterAbout) add(c *policy.Call) {
	if len(c.Cases) > 1 {
		for _, one := range c.Cases {
			f.ByArguments[c.Name] = append(f.ByArguments[c.Name], caseText{one.If, one.Answer.String()})
		}
		return
	}
	answer := c.Cases[0].Answer.String()
	if _, known := f.Answers[answer]; !known {
		f.order = append(f.order, answer)
	}
	f.Answers[answer] = append(f.Answers[answer], c.Name)
}
