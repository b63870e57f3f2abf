package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/limits"
	"github.com/aem-exec/aem-exec/policy"
	"github.com/aem-exec/aem-exec/source"
	"github.com/aem-exec/aem-exec/supervisor"
)

func (p *program) explainVerb() *cobra.Command {
	return p.jsonFlag(&cobra.Command{
		Use:   "explain APP/EVENT",
		Short: "Say what would run when an event happens: as whom, with which environment, limits and policy",
		Args:  cobra.ExactArgs(1),
		RunE:  p.verb(func(_ *cobra.Command, args []string) error { return p.explain(args[0]) }),
	})
}

// explanation is what an event of the file comes to, as --json has it. Nothing of it has run.
type explanation struct {
	Event    string         `json:"event"` // app/event
	Type     string         `json:"type"`
	Facts    []string       `json:"facts"`
	Priority int            `json:"priority"`
	Start    bool           `json:"start"`
	Once     bool           `json:"once"`
	Full     string         `json:"full"`
	Arrivals string         `json:"arrivals"`
	Expire   string         `json:"expire,omitempty"`
	Deadline string         `json:"deadline,omitempty"`
	Silence  string         `json:"silence,omitempty"`
	Filter   string         `json:"filter,omitempty"`
	User     *userAbout     `json:"user"`   // null: no such user
	Limits   map[string]any `json:"limits"` // those that are set, by key
	Policy   policyBrief    `json:"policy"`
	Kept     *keptAbout     `json:"confinement"`      // null: no such user
	Boost    []string       `json:"boost"`            // what threads are raised to, the lowest first
	OnError  string         `json:"on_error_default"` // where nobody answers
	Handlers []handlerAbout `json:"handlers"`
	Problems []string       `json:"problems"` // why it would not run here

	order []string // of Limits
}

// keptAbout is what the app's processes are kept in, but for system calls, with what is so where the file says nothing.
type keptAbout struct {
	Capabilities []string `json:"capabilities"`
	Namespaces   []string `json:"namespaces"`
	Mounts       bool     `json:"mounts"` // whether they may mount, as far as the kernel lets them
	ReadOnly     bool     `json:"read_only"`
	Read         []string `json:"read"`  // paths; null: everywhere
	Write        []string `json:"write"` // likewise
	Signals      string   `json:"signals"`
}

// userAbout is who the app's processes run as.
type userAbout struct {
	Name   string   `json:"name"`
	UID    uint32   `json:"uid"`
	GID    uint32   `json:"gid"`
	Groups []uint32 `json:"groups"`
	Own    bool     `json:"own"` // who runs the supervisor
}

// policyBrief is the short form of `policy show`.
type policyBrief struct {
	Seccomp      string `json:"seccomp"`
	Ready        string `json:"seccomp_ready,omitempty"`
	Mode         string `json:"mode"`
	Instructions int    `json:"instructions"` // of both filters
}

func (p *program) explain(target string) error {
	appName, eventName, ok := strings.Cut(target, "/")
	if !ok {
		return usageError{fmt.Errorf("explain: event %q: want APP/EVENT", target)}
	}
	file, err := p.load()
	if err != nil {
		return err
	}
	app, err := appNamed(file.Options.Apps, appName)
	if err != nil {
		return err
	}
	event, err := eventNamed(app, eventName)
	if err != nil {
		return err
	}
	e := explainEvent(app, event)
	if p.json {
		err = p.printJSON(e)
	} else {
		err = p.printExplanation(&e)
	}
	if err == nil && len(e.Problems) > 0 {
		return told(exitFailed)
	}
	return err
}

func eventNamed(app *supervisor.App, name string) (*supervisor.Registration, error) {
	var names []string
	for i := range app.Events {
		if names = append(names, app.Events[i].Name); app.Events[i].Name == name {
			return &app.Events[i], nil
		}
	}
	return nil, usageError{fmt.Errorf("no event %q in app %s (%s)", name, app.Name, strings.Join(names, ", "))}
}

func explainEvent(app *supervisor.App, event *supervisor.Registration) explanation {
	typ := event.Source.Type()
	about, _ := source.TypeNamed(typ)
	e := explanation{
		Event: app.Name + "/" + event.Name, Type: typ, Facts: []string{}, Priority: int(event.Priority), Start: event.Start && app.Start,
		Once: event.Once, Full: string(event.Full), Arrivals: string(cmp.Or(event.Arrivals, supervisor.EachArrival)), Filter: event.Filter,
		Expire: span(event.Expire), Deadline: span(event.Deadline), Silence: span(event.Silence),
		Limits: map[string]any{}, Boost: aboutBoost(app.Boost), OnError: string(cmp.Or(app.OnError, supervisor.SkipError)), Problems: []string{},
	}
	for _, list := range [][]source.Field{source.Common, about.Facts} {
		for _, f := range list {
			e.Facts = append(e.Facts, f.Name)
		}
	}
	account, err := e.account(app)
	if e.problem(err); err == nil {
		e.Kept = aboutKept(app, account.UID)
	}
	e.limits(app)
	e.problem(e.policy(app))
	for _, name := range event.Handlers {
		for i := range app.Handlers {
			if h := &app.Handlers[i]; h.Name == name {
				told, err := explainHandler(h, account, about.Facts, app.SeccompReady != nil)
				e.problem(err)
				e.Handlers = append(e.Handlers, told)
			}
		}
	}
	return e
}

func (e *explanation) problem(err error) {
	if err != nil {
		e.Problems = append(e.Problems, err.Error())
	}
}

func (e *explanation) account(app *supervisor.App) (executor.Account, error) {
	own := app.User == "" && app.Group == "" && app.Groups == nil
	id, err := policy.LookupIdentity(app.User, app.Group, app.Groups)
	if err == nil {
		e.User = &userAbout{id.Name, id.UID, id.GID, append([]uint32{}, id.Groups...), own}
	}
	return executor.Account{Identity: id, Own: own}, err
}

// aboutKept is what processes of a user are kept in.
func aboutKept(app *supervisor.App, uid uint32) *keptAbout {
	c, shut := app.Confined(uid)
	about := &keptAbout{Capabilities: c.Capabilities.Names(), Namespaces: []string{}, Mounts: !shut, ReadOnly: c.ReadOnly, Signals: string(c.Signals)}
	for _, n := range c.Namespaces {
		about.Namespaces = append(about.Namespaces, string(n))
	}
	if c.Paths != nil || c.ReadOnly {
		about.Write = []string{}
	}
	if c.Paths != nil {
		about.Read, about.Write = c.Paths.Read, append(about.Write, c.Paths.Write...)
	}
	return about
}

// aboutBoost is each level in words.
func aboutBoost(levels executor.Boost) []string {
	words := make([]string, len(levels))
	for i, l := range levels {
		parts := stated("nice", whole(l.Nice), "slice", span(l.Slice), "realtime", positive(l.Realtime))
		words[i] = fmt.Sprintf("from %d", l.From)
		for _, part := range parts {
			words[i] += " " + strings.Join(part, " ")
		}
	}
	return words
}

func (e *explanation) limits(app *supervisor.App) {
	l := &app.Limits
	add := func(values ...limits.Value) {
		for _, v := range values {
			e.Limits[v.Limit] = v.Value
			e.order = append(e.order, v.Limit+" "+v.Text())
		}
	}
	add(limits.Value{Limit: "jobs", Value: int64(l.Jobs)})
	for _, of := range l.JobsOf {
		add(limits.Value{Limit: fmt.Sprintf("jobs_of.%q", of.What), Value: int64(of.Most)})
	}
	add(limits.Value{Limit: "activations", Value: int64(l.Activations)})
	for _, of := range l.ActivationsOf {
		add(limits.Value{Limit: fmt.Sprintf("activations_of.%q", of.What), Value: int64(of.Most)})
	}
	add(limits.Value{Limit: "queue_bytes", Value: l.QueueBytes}, limits.Value{Limit: "priority_max", Value: int64(l.PriorityMax)})
	if l.Processes > 0 {
		add(limits.Value{Limit: "processes", Value: int64(l.Processes)})
	}
	list := func(name string, words []string) {
		if len(words) > 0 {
			add(limits.Value{Limit: name, Value: strings.Join(words, " ")})
		}
	}
	list("types", l.Types)
	list("agents", l.Agents)
	add(l.Values()...)
	list("on_missing", l.OnMissing)
}

func (e *explanation) policy(app *supervisor.App) error {
	about, err := aboutPolicy(app)
	e.Policy = policyBrief{Seccomp: "none", Mode: about.Mode}
	if app.Seccomp != nil {
		e.Policy.Seccomp = app.Seccomp.Name
	}
	if app.SeccompReady != nil {
		e.Policy.Ready = app.SeccompReady.Name
	}
	for _, f := range []*filterAbout{about.Start, about.Ready} {
		if f != nil {
			e.Policy.Instructions += f.Instructions
		}
	}
	return err
}
