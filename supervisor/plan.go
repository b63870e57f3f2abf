package supervisor

import (
	"errors"
	"fmt"
	"iter"
	"reflect"
	"slices"

	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/limits"
)

// A plan is what lies between two Options, as values: nothing here knows of anything that lives. A reload makes one and
// follows it; what is in no plan goes on as it is.

// verb is what becomes of an app, a handler or a job.
type verb string

const (
	added   verb = "added"
	removed verb = "removed"
	changed verb = "changed" // it goes on, by other rules
	renewed verb = "renewed" // a handler is another one from its next event on; a job is another one, with an id of its own
)

// change is one step of a plan. An app has neither event nor handler, a handler no event; a job has both.
type change struct {
	verb                verb
	app, event, handler string
	alone               bool // the event has no other job, and its name is the job's
}

// plan is what becomes of each app, in the order of the new options, and then what becomes of those that are gone.
type plan []change

// difference makes the plan that leads from one Options to another, and finds what no plan can lead to.
func difference(was, is *Options) (plan, error) {
	var p plan
	errs := fixed("supervisor", optionKeys, was, is)
	for i := range is.Apps {
		a := &is.Apps[i]
		errs = append(errs, a.unhandled()...)
		before := was.app(a.Name)
		if before == nil {
			p = append(append(p, change{verb: added, app: a.Name}), between(&App{}, a)...)
			continue
		}
		errs = append(errs, fixed("app."+a.Name, appKeys, before, a)...)
		if before.Start != a.Start || before.OnError != a.OnError || !reflect.DeepEqual(before.Limits, a.Limits) {
			p = append(p, change{verb: changed, app: a.Name})
		}
		p = append(p, between(before, a)...)
	}
	for i := range was.Apps {
		if a := &was.Apps[i]; is.app(a.Name) == nil {
			p = append(append(p, between(a, &App{Name: a.Name})...), change{verb: removed, app: a.Name})
		}
	}
	return p, errors.Join(errs...)
}

// between is what becomes of an app's handlers and jobs.
func between(was, is *App) (p plan) {
	for i := range is.Handlers {
		h := &is.Handlers[i]
		switch before := was.handler(h.Name); {
		case before == nil:
			p = append(p, change{verb: added, app: is.Name, handler: h.Name})
		case !reflect.DeepEqual(before, h):
			p = append(p, change{verb: renewed, app: is.Name, handler: h.Name})
		}
	}
	step := func(v verb, r *Registration, handler string) {
		p = append(p, change{verb: v, app: is.Name, event: r.Name, handler: handler, alone: len(r.Handlers) == 1})
	}
	for r, handler := range is.jobs() {
		switch before := was.job(r.Name, handler); {
		case before == nil:
			step(added, r, handler)
		case !reflect.DeepEqual(before.Source, r.Source), was.agent(handler) != is.agent(handler):
			step(renewed, r, handler)
		case !reflect.DeepEqual(before.rules(), r.rules()):
			step(changed, r, handler)
		}
	}
	for r, handler := range was.jobs() {
		if is.job(r.Name, handler) == nil {
			step(removed, r, handler)
		}
	}
	for i := range was.Handlers {
		if h := &was.Handlers[i]; is.handler(h.Name) == nil {
			p = append(p, change{verb: removed, app: is.Name, handler: h.Name})
		}
	}
	return p
}

// errFixed is why what a key says stays as it is.
var errFixed = errors.New("changing it takes a restart")

// key is a part of an Options or an App under its name in the file.
type key[T any] struct {
	name string
	of   func(*T) any
}

// optionKeys and appKeys are what is made once. All else may change.
var (
	optionKeys = []key[Options]{
		{"runtime_dir", func(o *Options) any { return o.RuntimeDir }},
		{"state_dir", func(o *Options) any { return o.StateDir }},
		{"dead_letters", func(o *Options) any { return o.DeadLetters }},
		{"control", func(o *Options) any { return o.Control }},
		{"log", func(o *Options) any { return o.Log }},
	}
	appKeys = []key[App]{
		{"user", func(a *App) any { return a.User }},
		{"group", func(a *App) any { return a.Group }},
		{"groups", func(a *App) any { return a.Groups }},
		{"limits", func(a *App) any { return lasting(a.Limits) }},
		{"policy.seccomp", func(a *App) any { return a.Seccomp }},
		{"policy.seccomp_ready", func(a *App) any { return a.SeccompReady }},
		{"policy", func(a *App) any { return a.Confinement }},
		{"boost", func(a *App) any { return a.Boost }},
	}
)

// lasting are the limits without their numbers, to be compared.
func lasting(l limits.Limits) any {
	var parts [2][]string
	for i, list := range [...][]limits.Of{l.JobsOf, l.ActivationsOf} {
		for _, of := range list {
			parts[i] = append(parts[i], of.What)
		}
	}
	return []any{parts, l.Types, l.Agents, l.PriorityMax, l.Fixed()}
}

// fixed finds what has changed of what is made once.
func fixed[T any](path string, keys []key[T], was, is *T) (errs []error) {
	for _, k := range keys {
		if !reflect.DeepEqual(k.of(was), k.of(is)) {
			errs = append(errs, placed(errFixed, path, k.name))
		}
	}
	return errs
}

// app is the app of that name, nil if there is none; likewise handler and job, which is the registration of an event for a
// handler.
func (o *Options) app(name string) *App {
	if i := slices.IndexFunc(o.Apps, func(a App) bool { return a.Name == name }); i >= 0 {
		return &o.Apps[i]
	}
	return nil
}

func (a *App) handler(name string) *executor.Spec {
	if i := slices.IndexFunc(a.Handlers, func(h executor.Spec) bool { return h.Name == name }); i >= 0 {
		return &a.Handlers[i]
	}
	return nil
}

// agent is what a handler runs on, "" for one that is not there.
func (a *App) agent(handler string) executor.AgentKind {
	if h := a.handler(handler); h != nil {
		return h.Agent
	}
	return ""
}

// unhandled finds events whose handlers are not there.
func (a *App) unhandled() (errs []error) {
	for r, handler := range a.jobs() {
		if a.handler(handler) == nil {
			errs = append(errs, placed(fmt.Errorf("no handler %q", handler), "app", a.Name, "event", r.Name, "handler"))
		}
	}
	return errs
}

func (a *App) job(event, handler string) *Registration {
	for r, h := range a.jobs() {
		if r.Name == event && h == handler {
			return r
		}
	}
	return nil
}

// jobs are an app's events, each with each of its handlers.
func (a *App) jobs() iter.Seq2[*Registration, string] {
	return func(yield func(*Registration, string) bool) {
		for i := range a.Events {
			for _, handler := range a.Events[i].Handlers {
				if !yield(&a.Events[i], handler) {
					return
				}
			}
		}
	}
}

// rules are what of a registration may change while its jobs live.
func (r Registration) rules() Registration {
	r.Source, r.Handlers = nil, nil
	return r
}

// told is a step as others see it.
func (c change) told() control.Change {
	told := control.Change{Change: string(c.verb), What: "job", Name: c.app + "/" + c.event}
	switch {
	case c.event == "" && c.handler == "":
		told.What, told.Name = "app", c.app
	case c.event == "":
		told.What, told.Name = "handler", c.app+"/"+c.handler
	case !c.alone:
		told.Name += ":" + c.handler
	}
	return told
}
