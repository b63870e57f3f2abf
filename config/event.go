package config

import (
	"slices"
	"strings"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/source"
	"github.com/aem-exec/aem-exec/supervisor"
)

// event reads the event name at its table. Its handlers have been read; one that stands inline is added to them.
func (d *decoder) event(a *app, name, at string, v any) supervisor.Registration {
	e := &event{Registration: supervisor.Registration{Name: name}, at: at}
	stated, ok := v.(map[string]any)
	if !ok {
		d.errorf(at, "want a table")
		return e.Registration
	}
	t, rows := d.eventType(e, stated)
	e.stated = d.rows(at, d.ownKeys(e, t, stated), slices.Concat(eventKeys(e), rows))
	if t.spec != nil {
		d.source(a, e)
		e.Source = t.spec()
	}
	d.eventLimits(a, e, t)
	d.arrivals(e, t)
	for _, h := range d.eventHandlers(a, e) {
		d.pair(e, t, h)
	}
	return e.Registration
}

// eventType finds the type that the file states and its rows. An unknown type has the keys of all types.
func (d *decoder) eventType(e *event, stated map[string]any) (eventType, []key) {
	types := eventTypes(e)
	name, isString := stated["type"].(string)
	var all []key
	for _, t := range types {
		prefix, family := strings.CutSuffix(t.name, "*")
		if t.name == name || family && strings.HasPrefix(name, prefix) {
			if t.spec == nil {
				d.errorIn(e.at, "type", "type %q is %s", name, laterName)
			}
			return t, t.keys
		}
		for _, k := range t.keys {
			if !slices.ContainsFunc(all, func(have key) bool { return have.name == k.name }) {
				all = append(all, k)
			}
		}
	}
	switch {
	case isString:
		d.errorIn(e.at, "type", "unknown type %q%s", name, suggest(name, typeNames()))
	case stated["type"] == nil && !slices.ContainsFunc(sorted(stated), func(key string) bool { return nearest(key, []string{"type"}) != "" }):
		d.errorf(e.at, "type is missing")
	}
	return eventType{}, all
}

// ownKeys is what is stated without the keys that only other types have, which it refuses with their owners.
func (d *decoder) ownKeys(e *event, t eventType, stated map[string]any) map[string]any {
	if t.name == "" {
		return stated // of which type is not known
	}
	foreign := map[string][]string{}
	for _, other := range eventTypes(new(event)) {
		for _, k := range other.keys {
			foreign[k.name] = append(foreign[k.name], other.name)
		}
	}
	for _, k := range slices.Concat(eventKeys(e), t.keys) {
		delete(foreign, k.name)
	}
	own := map[string]any{}
	for _, name := range sorted(stated) {
		if owners := foreign[name]; owners != nil {
			d.errorIn(e.at, name, "%s is no key of %s (of %s)", name, t.name, list(owners))
			continue
		}
		own[name] = stated[name]
	}
	return own
}

// source checks the type's own keys together and completes them.
func (d *decoder) source(a *app, e *event) {
	states := func(key string) bool { return e.stated[key] != nil }
	switch e.typeName {
	case "timer":
		d.timer(e)
	case acceptType:
		d.door(e, e.accept, e.accept.Listen)
	case readyType:
		d.door(e, e.ready, e.ready.Listen)
	case "file":
		if !states("path") {
			d.errorf(e.at, "path is missing")
		}
		e.file.Path = d.absolute(e.file.Path)
		if !states("on") {
			e.file.On = source.FileOn
		}
		for _, key := range []string{"recursive", "existing"} {
			if e.file.Whole != "" && states(key) {
				d.errorIn(e.at, key, "%s is not for whole", key)
			}
		}
	case readType:
		d.framing(a, e)
	case closeType:
		d.ended(a, e)
	case exitType:
		d.exit(e)
	case pressureType:
		d.pressure(e)
	case "signal":
		d.required(e, "signal")
	case "memory":
		d.required(e, "pid", "address")
		if err := source.Check(e.memory); err != nil && e.memory.PID != 0 && e.memory.Address != 0 {
			d.errorf(e.at, "%v", err)
		}
	case "topic":
		if e.topic.Name == "" {
			e.topic.Name = e.Name
		}
		e.topic.Name = d.topic(e.at, a.Name, e.topic.Name)
	case "supervisor.limit", "supervisor.failed", "supervisor.agent", "supervisor.deadline", "supervisor.silence", "supervisor.error", "supervisor.died":
		if e.notice.Apps == nil {
			e.notice.Apps = []string{a.Name}
		}
	}
}

// topic is the full name of a topic that the app calls name.
func (d *decoder) topic(table, app, name string) string {
	owner, short, ok := strings.Cut(name, "/")
	if !ok {
		owner, short = app, name
	}
	if aem.CheckName(owner) != nil || aem.CheckName(short) != nil {
		d.errorIn(table, "topic", "topic %q: want NAME or APP/NAME, of small letters, digits, _ and -", name)
	}
	return owner + "/" + short
}

// eventLimits holds the event to its app's limits.
func (d *decoder) eventLimits(a *app, e *event, t eventType) {
	if t.spec != nil && !a.Limits.AllowsType(t.name) {
		d.errorIn(e.at, "type", "the app's limits do not allow type %s", t.name)
	}
	if highest := a.Limits.PriorityMax; int(e.Priority) > highest {
		d.errorIn(e.at, "priority", "priority %d is above the app's priority_max %d", e.Priority, highest)
	}
}

// eventHandlers is the handlers that the event names or declares.
func (d *decoder) eventHandlers(a *app, e *event) []*handler {
	key := "handlers"
	_, one := e.stated["handler"]
	_, several := e.stated["handlers"]
	switch inline, ok := e.handler.(map[string]any); {
	case one == several:
		d.errorf(e.at, "want exactly one of handler and handlers")
		return nil
	case ok:
		return d.inlineHandler(a, e, inline)
	case one:
		name, ok := e.handler.(string)
		if !ok {
			return nil // refused already
		}
		key, e.Handlers = "handler", []string{name}
	case e.Handlers != nil && len(e.Handlers) == 0:
		d.errorIn(e.at, key, "handlers is empty")
	}
	var found []*handler
	for i, name := range e.Handlers {
		if slices.Contains(e.Handlers[:i], name) {
			d.errorIn(e.at, key, "handler %q is listed twice", name)
			continue
		}
		if h := d.find(a, e.at, key, name); h != nil {
			found = append(found, h)
		}
	}
	return found
}

// inlineHandler declares the handler that stands inside of the event: it has the event's name.
func (d *decoder) inlineHandler(a *app, e *event, v map[string]any) []*handler {
	at := join(e.at, "handler")
	for _, h := range a.handlers {
		if h.Name == e.Name {
			d.errorf(at, "the inline handler has the event's name, and handler %q exists already", e.Name)
		}
	}
	d.handler(a, e.Name, at, v)
	d.file.inline[join(join(a.at, "handler"), e.Name)] = at
	e.Handlers = []string{e.Name}
	h := a.handlers[len(a.handlers)-1]
	h.used = true
	return []*handler{h}
}

// pair checks that the handler can take what the event brings.
func (d *decoder) pair(e *event, t eventType, h *handler) {
	if t.spec == nil || h.Agent == "" || h.Agent == executor.Process && h.Handover == "" {
		return // refused already
	}
	brings := source.BringsSocket(t.name)
	wants := h.Handover == executor.Socket || h.Handover == executor.ListenFDs
	switch {
	case brings && !wants && h.Agent == executor.Process && h.Handover != executor.Direct:
		d.errorIn(e.at, "type", "%s goes with handover direct, socket or listen-fds, a callback or a thread: handler %q has %s", t.name, h.Name, h.Handover)
	case (brings || t.name == readType) && len(e.Handlers) > 1 && h.Name == e.Handlers[0]:
		d.errorIn(e.at, "handlers", "%s takes one handler: a connection has one owner", t.name)
	case !brings && wants:
		d.errorIn(e.at, "type", "%s has no socket (handler %q has handover %s)", t.name, h.Name, h.Handover)
	}
	for _, name := range h.facts {
		if !slices.Contains(commonFacts(), name) && !slices.Contains(t.factNames(), name) {
			d.errorIn(e.at, "type", "%s has no fact {%s}, which handler %q names", t.name, name, h.Name)
		}
	}
}

// required tells which of the keys that a type cannot do without are missing.
func (d *decoder) required(e *event, keys ...string) {
	for _, key := range keys {
		if e.stated[key] == nil {
			d.errorf(e.at, "%s is missing", key)
		}
	}
}
