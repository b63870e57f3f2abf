package config

import (
	"slices"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/supervisor"
)

// app is one app while it is read.
type app struct {
	supervisor.App
	at            string // its table in the file
	policy        security
	resources     string // a file
	confinement   confinement
	onError       string // a handler
	handlerTables map[string]any
	eventTables   map[string]any
	handlers      []*handler
}

func (d *decoder) app(name string, v any) supervisor.App {
	a := &app{App: supervisor.App{Name: name}, at: join("app", name)}
	a.Limits.PriorityMax = aem.PriorityLevels - 1 // holds if the file's own is refused
	d.name(a.at, name)
	stated := d.rows(a.at, v, appKeys(a))
	d.resources(a, stated["limits"])
	d.security(a)
	d.confinement(a, stated["policy"])
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
	jobs += d.onError(a)
	d.limits(a, jobs)
	d.boost(a)
	d.secondStage(a)
	for _, h := range a.handlers {
		a.Handlers = append(a.Handlers, h.Spec)
		if !h.used {
			d.warnf(h.at, "no event uses this handler")
		}
	}
	return a.App
}

// onErrorEvent is the name of the event that on_error stands for.
const onErrorEvent = "on_error"

// onError adds the event of type supervisor.error that goes to the app's handler for it, and returns how many jobs that
// makes.
func (d *decoder) onError(a *app) int {
	if a.onError == "" {
		return 0
	}
	e := &event{Registration: supervisor.Registration{Name: onErrorEvent}, at: join(a.at, onErrorEvent), typeName: "supervisor.error"}
	stated := map[string]any{"type": e.typeName, "handler": a.onError}
	t, rows := d.eventType(e, stated)
	d.rows(e.at, stated, slices.Concat(eventKeys(e), rows))
	if _, twice := a.eventTables[onErrorEvent]; twice {
		d.errorIn(a.at, onErrorEvent, "on_error stands for an event of that name, and there is one")
	}
	e.Priority = min(e.Priority, aem.Priority(a.Limits.PriorityMax))
	e.notice.Apps = []string{a.Name}
	e.Source, e.Handlers = t.spec(), []string{a.onError}
	if h := d.find(a, a.at, onErrorEvent, a.onError); h != nil {
		d.eventLimits(a, e, t)
		d.pair(e, t, h)
	}
	a.Events = append(a.Events, e.Registration)
	return 1
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
