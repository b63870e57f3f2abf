package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/spf13/cobra"

	"github.com/aem-exec/aem-exec/internal/spawn"
	"github.com/aem-exec/aem-exec/policy"
	"github.com/aem-exec/aem-exec/supervisor"
)

// learner runs one app under a policy that denies nothing, and keeps what it would have denied.
type learner struct {
	from  string // the profile to begin with; "" allows nothing
	ready bool   // of the second stage
	app   string
	event string // "": all of them

	base *policy.Profile
	more bool       // another filter follows
	mu   sync.Mutex // over what follows: the supervisor's loop fills it
	seen map[policy.Arch]map[string]bool
	lost bool
}

func (p *program) policyLearnVerb() *cobra.Command {
	l := &learner{seen: map[policy.Arch]map[string]bool{}}
	c := &cobra.Command{
		Use:   "learn APP[/EVENT] [-- COMMAND...]",
		Short: "Run an app, until a signal or while COMMAND runs, and print a profile of the system calls that it made",
		Long: "Run an app, or one event of it, as `run` does: until SIGTERM or SIGINT, or while COMMAND runs, which may make its\n" +
			"events. No system call is denied; those that the app's processes make are recorded, and printed as a profile in the\n" +
			"form of the OCI runtime specification. What a call was made with is not recorded: the profile allows it with any\n" +
			"arguments. It needs audit records: CAP_AUDIT_READ, and audit sessions.",
		Args: cobra.MinimumNArgs(1),
		RunE: p.verb(func(c *cobra.Command, args []string) error {
			if n := c.ArgsLenAtDash(); len(args) > 1 && n != 1 {
				return usageError{fmt.Errorf("learn: want APP or APP/EVENT, and a command after --")}
			}
			return p.learn(l, args[0], args[1:])
		}),
	}
	c.Flags().StringVar(&l.from, "from", "", "`PROFILE` to begin with, default, handler or a file: what it allows is not recorded, and is in what is printed")
	c.Flags().BoolVar(&l.ready, "ready", false, "learn policy.seccomp_ready: what handlers of direct do from readiness on")
	return c
}

func (p *program) learn(l *learner, target string, command []string) error {
	l.app, l.event, _ = strings.Cut(target, "/")
	if err := l.begin(); err != nil {
		return usageError{err}
	}
	e := &errand{change: l.change}
	if len(command) > 0 {
		e.do = func(ctx context.Context, _ *supervisor.Supervisor, dir string) error {
			c := exec.CommandContext(ctx, command[0], command[1:]...)
			c.Env = append(os.Environ(), "AEM_RUNTIME_DIR="+dir)
			c.Stdin, c.Stdout, c.Stderr = p.in, p.err, p.err // standard output is the profile's
			if err := c.Start(); err != nil {
				return err
			}
			return errors.Join(spawn.GiveScore(c.Process.Pid), c.Wait())
		}
	}
	err := p.run(e)
	return errors.Join(err, l.finish(p))
}

// begin makes the profile that the app starts from.
func (l *learner) begin() (err error) {
	eperm := uint(1)
	l.base = &policy.Profile{Name: "learning", DefaultAction: specs.ActErrno, DefaultErrnoRet: &eperm}
	if l.from == "" {
		return nil
	}
	switch l.from {
	case policy.Default, policy.Handler:
		l.base, err = policy.Builtin(l.from, l.stage())
	default:
		l.base, err = policy.Load(l.from)
	}
	if err != nil {
		return err
	}
	host, err := policy.ThisHost(0)
	if err == nil {
		l.base = l.base.Resolve(host)
	}
	return err
}

func (l *learner) stage() policy.Stage {
	if l.ready {
		return policy.Ready
	}
	return policy.First
}

// change leaves of the file what is to be learned from.
func (l *learner) change(o *supervisor.Options) error {
	app, err := appNamed(o.Apps, l.app)
	if err != nil {
		return err
	}
	o.Apps = []supervisor.App{*app}
	app = &o.Apps[0]
	if l.event != "" {
		kept := slices.DeleteFunc(slices.Clone(app.Events), func(r supervisor.Registration) bool { return r.Name != l.event })
		if len(kept) == 0 {
			return usageError{fmt.Errorf("no event %q in app %s", l.event, l.app)}
		}
		app.Events = kept
	}
	l.more = app.SeccompReady != nil && !l.ready
	learning := *l.base
	learning.LogOnly = true
	app.Seccomp, app.SeccompReady = &learning, nil
	if l.ready {
		app.Seccomp, app.SeccompReady = nil, &learning
	}
	o.Observer = &supervisor.Observer{Call: l.call, Lost: l.lose}
	return nil
}

func (l *learner) call(_ string, arch policy.Arch, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen[arch] == nil {
		l.seen[arch] = map[string]bool{}
	}
	l.seen[arch][name] = true
}

func (l *learner) lose() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = true
}

// finish prints the profile.
func (l *learner) finish(p *program) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	names := map[string]bool{}
	for _, calls := range l.seen {
		for name := range calls {
			if strings.Contains(name, " ") {
				fmt.Fprintf(p.err, "left out: %s, which is newer than what is known here\n", name)
				continue
			}
			names[name] = true
		}
	}
	ran := names["execve"] || l.ready && len(names) > 0 // exit_group alone is of a rehearsal
	if !ran && l.from == "" {
		return errors.New("nothing was recorded: no process of the app ran, or the kernel records no calls (sysctl kernel.seccomp.actions_logged)")
	}
	e := json.NewEncoder(p.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "\t")
	if err := e.Encode(l.profile(slices.Sorted(maps.Keys(names)))); err != nil {
		return err
	}
	fmt.Fprintf(p.err, "learned: %s\n", count(len(names), "system call"))
	if l.lost {
		return errors.New("records were lost: the profile is not whole. Keep it in a file, and learn again --from that")
	}
	return nil
}

// profile is the base with what was learned.
func (l *learner) profile(names []string) *specs.LinuxSeccomp {
	s := l.base.OCI()
	for name, needed := range map[string]bool{"execve": !l.ready, "exit_group": true, "seccomp": l.more} {
		if l.from == "" && needed && !slices.Contains(names, name) { // it may not have been seen at it
			names = append(names, name)
		}
	}
	slices.Sort(names)
	s.Architectures = l.architectures(s.Architectures)
	var rules []specs.LinuxSyscall
	for _, rule := range s.Syscalls { // what is allowed now is not denied beside that
		if rule.Action != specs.ActAllow && len(rule.Args) == 0 {
			rule.Names = slices.DeleteFunc(slices.Clone(rule.Names), func(name string) bool { return slices.Contains(names, name) })
		}
		if len(rule.Names) > 0 {
			rules = append(rules, rule)
		}
	}
	s.Syscalls = rules
	if len(names) > 0 {
		s.Syscalls = append(rules, specs.LinuxSyscall{Names: names, Action: specs.ActAllow})
	}
	return s
}

// architectures are those of the base, this machine's own, and those of programs that ran.
func (l *learner) architectures(all []specs.Arch) []specs.Arch {
	all = slices.Clone(all)
	for _, a := range append([]policy.Arch{policy.Native()}, slices.Sorted(maps.Keys(l.seen))...) {
		if name := specs.Arch(a.Name()); !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}
