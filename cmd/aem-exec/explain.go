package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aem-exec/aem-exec/config"
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
	User     *userAbout     `json:"user"`   // null: no such user
	Limits   map[string]any `json:"limits"` // those that are set, by key
	Policy   policyBrief    `json:"policy"`
	Handlers []handlerAbout `json:"handlers"`
	Problems []string       `json:"problems"` // why it would not run here

	order []string // of Limits
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

// handlerAbout is one handler. What an agent has no use for is left out.
type handlerAbout struct {
	Name        string            `json:"name"`
	Agent       string            `json:"agent"`
	Call        string            `json:"call,omitempty"`
	Args        map[string]any    `json:"args,omitempty"`
	Life        string            `json:"life,omitempty"`
	Program     string            `json:"program,omitempty"`
	Arguments   []string          `json:"arguments,omitempty"` // the program's name first, facts as {name}
	Dir         string            `json:"dir,omitempty"`
	Umask       string            `json:"umask,omitempty"`
	Env         []string          `json:"env,omitempty"`
	Variables   []string          `json:"variables,omitempty"` // names of those that differ from event to event
	Handover    string            `json:"handover,omitempty"`
	Descriptors map[string]string `json:"descriptors,omitempty"` // as "0" or "1-2"
	Rlimits     map[string]string `json:"rlimits,omitempty"`
	Size        int               `json:"size,omitempty"`
	Concurrency int               `json:"concurrency"`
	Timeout     string            `json:"timeout,omitempty"`
	Success     string            `json:"success,omitempty"`
	Retries     int               `json:"retries"`
	Backoff     string            `json:"backoff,omitempty"`

	open []executor.Descriptor
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
		Once: event.Once, Full: string(event.Full), Limits: map[string]any{}, Problems: []string{},
	}
	for _, list := range [][]source.Field{source.Common, about.Facts} {
		for _, f := range list {
			e.Facts = append(e.Facts, f.Name)
		}
	}
	account, err := e.account(app)
	e.problem(err)
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

func (e *explanation) limits(app *supervisor.App) {
	l := &app.Limits
	for _, v := range append([]limits.Value{
		{Limit: "jobs", Value: int64(l.Jobs)}, {Limit: "activations", Value: int64(l.Activations)},
		{Limit: "queue_bytes", Value: l.QueueBytes}, {Limit: "priority_max", Value: int64(l.PriorityMax)},
	}, l.Values()...) {
		e.Limits[v.Limit] = v.Value
		e.order = append(e.order, v.Limit+" "+v.Text())
	}
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

func explainHandler(h *executor.Spec, who executor.Account, facts []source.Field, second bool) (handlerAbout, error) {
	about := handlerAbout{Name: h.Name, Agent: string(h.Agent), Call: h.Call, Args: h.Args, Concurrency: h.Concurrency, Retries: h.Retries}
	if h.Agent != executor.Process {
		return about, nil
	}
	e, err := h.Explain(who, facts, second)
	if err != nil {
		err = fmt.Errorf("handler %s: %w", h.Name, err)
	}
	about.Life, about.Handover, about.Program, about.Arguments = string(h.Life), string(h.Handover), e.Program, e.Args
	about.Dir, about.Umask, about.Env, about.Variables, about.open = h.Dir, fmt.Sprintf("%04o", h.Umask), e.Env, e.Variables, e.Descriptors
	about.Size = h.Ahead()
	about.Descriptors = map[string]string{}
	for _, d := range e.Descriptors {
		about.Descriptors[span(d)] = d.Is
	}
	for _, r := range h.Rlimits {
		if about.Rlimits == nil {
			about.Rlimits = map[string]string{}
		}
		about.Rlimits[config.ResourceName(r.Resource)] = rlimitText(r.Value)
	}
	if h.Timeout > 0 {
		about.Timeout = h.Timeout.String()
	}
	about.Success = "any"
	if !h.AnySuccess {
		about.Success = strings.Trim(fmt.Sprint(h.Success), "[]")
	}
	about.Backoff = fmt.Sprintf("%v, times %v, up to %v", h.Backoff.First, h.Backoff.Factor, h.Backoff.Max.Round(time.Millisecond))
	return about, err
}

func span(d executor.Descriptor) string {
	if d.End > d.FD {
		return fmt.Sprintf("%d-%d", d.FD, d.End)
	}
	return strconv.Itoa(d.FD)
}

func rlimitText(v uint64) string {
	if v == math.MaxUint64 {
		return "unlimited"
	}
	return strconv.FormatUint(v, 10)
}
