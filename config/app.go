package config

import (
	"slices"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/limits"
	"github.com/aem-exec/aem-exec/supervisor"
)

// app is one app while it is read.
type app struct {
	supervisor.App
	at            string // its table in the file
	policy        security
	handlerTables map[string]any
	eventTables   map[string]any
	handlers      []*handler
}

func (d *decoder) app(name string, v any) supervisor.App {
	a := &app{App: supervisor.App{Name: name}, at: join("app", name)}
	a.Limits.PriorityMax = aem.PriorityLevels - 1 // holds if the file's own is refused
	d.name(a.at, name)
	d.rows(a.at, v, appKeys(a))
	d.security(a)
	handlers, events := join(a.at, "handler"), join(a.at, "event")
	for _, name := range d.inOrder(handlers, a.handlerTables) {
		d.name(join(handlers, name), name)
		d.handler(a, name, join(handlers, name), a.handlerTables[name])
	}
	jobs := 0
	for _, name := range d.inOrder(events, a.eventTables) {
		d.name(join(events, name), name)
		r := d.event(a, name, join(events, name), a.eventTables[name])
		a.Events = append(a.Events, r)
		jobs += len(r.Handlers)
	}
	d.limits(a, jobs)
	for _, h := range a.handlers {
		a.Handlers = append(a.Handlers, h.Spec)
		if !h.used {
			d.warnf(h.at, "no event uses this handler")
		}
	}
	return a.App
}

// name checks the name of the table at.
func (d *decoder) name(at, name string) {
	if err := aem.CheckName(name); err != nil {
		d.errorf(at, "%v", err)
	}
}

// find is the handler that a key of table refers to, nil with an error when there is none.
func (d *decoder) find(a *app, table, key, name string) *handler {
	names := make([]string, len(a.handlers))
	for i, h := range a.handlers {
		if names[i] = h.Name; h.Name == name {
			h.used = true
			return h
		}
	}
	d.errorIn(table, key, "unknown handler %q%s", name, suggest(name, names))
	return nil
}

// jobsOf is how many jobs the app declares that count for a portion of them.
func (a *app) jobsOf(of limits.Of) (n int) {
	for _, e := range a.Events {
		for _, h := range a.handlers {
			if e.Source != nil && slices.Contains(e.Handlers, h.Name) && of.Counts(e.Source.Type(), string(h.Agent)) {
				n++
			}
		}
	}
	return n
}

// leastProcesses is how many processes must be able to live at once, so that every handler can have one.
func (a *app) leastProcesses() int {
	residents, others := 0, 0
	for _, h := range a.handlers {
		switch {
		case h.Agent != executor.Process:
		case h.Life == executor.Resident:
			residents += h.Size
		default:
			others = 1
		}
	}
	return residents + others
}

// limits checks the app's limits against each other and against what it declares.
func (d *decoder) limits(a *app, jobs int) {
	at := a.at + ".limits"
	if a.Limits.Swap > 0 && a.Limits.Memory == 0 {
		d.errorIn(at, "swap", "swap is beside memory: memory is missing")
	}
	for _, soft := range []struct {
		key   string
		bytes int64
	}{{"memory_high", a.Limits.MemoryHigh}, {"memory_low", a.Limits.MemoryLow}} {
		if hard := a.Limits.Memory; hard > 0 && soft.bytes > hard {
			d.errorIn(at, soft.key, "%s is more than memory", soft.key)
		}
	}
	if a.Limits.Jobs > 0 && jobs > a.Limits.Jobs {
		d.errorIn(at, "jobs", "the app declares %d jobs, more than its limit of %d", jobs, a.Limits.Jobs)
	}
	for _, of := range a.Limits.JobsOf {
		if n := a.jobsOf(of); of.Most > 0 && n > of.Most {
			d.errorIn(at, "jobs_of", "the app declares %d jobs of %q, more than its limit of %d", n, of.What, of.Most)
		}
	}
	if least := a.leastProcesses(); a.Limits.Processes > 0 && a.Limits.Processes < least {
		d.errorIn(at, "processes", "the app's handlers need %d at least: each resident one, and one for all others", least)
	}
	for _, h := range a.handlers {
		if !a.Limits.AllowsAgent(string(h.Agent)) {
			d.errorIn(h.at, "agent", "the app's limits do not allow agent %s", h.Agent)
		}
	}
	a.Limits.Kill = slices.ContainsFunc(a.handlers, func(h *handler) bool {
		return h.LeftoverSet && h.Leftover == executor.KillLeftover
	})
}
