package config

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/filewatch"
	"github.com/aem-exec/aem-exec/limits"
	"github.com/aem-exec/aem-exec/source"
	"github.com/aem-exec/aem-exec/supervisor"
)

// event is one declared event while it is read.
type event struct {
	supervisor.Registration
	at       string         // its table in the file
	stated   map[string]any // as the file has it
	typeName string
	handler  any // a name or an inline table
	timer    source.Timer
	accept   source.Accept
	ready    source.Ready
	read     source.Read
	close    source.Close
	state    source.State
	topic    source.Topic
	file     source.File
	exit     source.ProcessExit
	pressure source.Pressure
	signal   source.Signal
	device   source.Device
	memory   source.Memory
	notice   source.Notice
}

func eventKeys(e *event) []key {
	return []key{
		{"type", text(&e.typeName), nil, "What is detected. Required."},
		{"handler", handlerOrName(&e.handler), nil, "The handler's name, or an inline table that declares one."},
		{"handlers", texts(&e.Handlers, anything), nil, "Several handlers' names; exactly one of `handler` and `handlers`."},
		{"priority", count(&e.Priority, 0, aem.PriorityLevels-1), int(aem.PriorityDefault), "Larger is more urgent."},
		{"start", boolean(&e.Start), true, "Whether it is detected from the start."},
		{"once", boolean(&e.Once), false, "Whether the first one is the last."},
		{"full", choice(&e.Full, []supervisor.Full{supervisor.HoldFull, supervisor.ShedFull}), "hold", "What happens to arrivals when a limit is reached."},
		{"arrivals", choice(&e.Arrivals, []supervisor.Arrivals{supervisor.EachArrival, supervisor.MergeArrival, supervisor.SkipArrival, supervisor.ReplaceArrival}), "each",
			"What happens to an arrival when `concurrency` is used up: it waits (`each`); it joins the one of this event that waits, and has the same fate (`merge`, where the type can: events.md); it is shed (`skip`); or it takes the place of the one that waits, which is shed (`replace`)."},
		{"expire", duration(&e.Expire, time.Millisecond), nil, "Not run any more after waiting so long: its fate is `expired`. Default: never too late."},
		{"deadline", duration(&e.Deadline, time.Microsecond), nil, "Time from the event to its handler's start. A miss is counted, and is an event of type `supervisor.deadline`."},
		{"silence", duration(&e.Silence, time.Millisecond), nil, "When none arrives for so long, that is an event of type `supervisor.silence`: once, until one arrives."},
		{"filter", text(&e.Filter), nil, "Which events are meant: an expression on their facts, as `size > 0 && peer startsWith \"10.\"`. Others are not detected."},
	}
}

// eventType is what is known about one type of event.
type eventType struct {
	name  string
	doc   string
	facts []string           // of a type that is not supported yet; the others have them in the source's row
	spec  func() source.Spec // nil: not supported yet
	keys  []key
	rules object // schema of its keys together
}

// commonFacts are the facts of every type.
func commonFacts() []string { return source.Names(source.Common) }

// factNames are the type's own facts.
func (t eventType) factNames() []string {
	if row, ok := source.TypeNamed(t.name); ok {
		return source.Names(row.Facts)
	}
	return t.facts
}

// eventTypes is the table of event types, bound to where the values of their keys go.
func eventTypes(e *event) []eventType {
	return []eventType{
		timerType(e),
		acceptEvent(e),
		readyEvent(e),
		readEvent(e),
		closeEvent(e),
		stateEvent(e),
		{name: "topic", doc: "Somebody emits.", spec: func() source.Spec { return e.topic }, keys: slices.Concat([]key{
			{"topic", text(&e.topic.Name), nil, "`NAME` of this app or `APP/NAME`. Default: the event's name."},
		}, reserved("from", "share", "retain"))},
		exitEvent(e),
		{name: "file", doc: "Something happens to the entries of a directory, or to one file.", spec: func() source.Spec { return e.file },
			rules: needs("path"), keys: []key{
				{"path", text(&e.file.Path), nil, "The directory, or one file, which need not be there yet. Relative to this file. Required."},
				{"on", operations(&e.file.On), []any{"written", "rename", "remove"}, "What happens: " + operationsMeaning + "."},
				{"match", texts(&e.file.Match, pattern), nil, "Patterns of names, as `*.csv`; with a slash, of paths below `path`. Default: all."},
				{"recursive", boolean(&e.file.Recursive), false, "Directories in it too, as deep as they go."},
				{"existing", boolean(&e.file.Existing), false, "An event for each entry that is there at the start, too."},
				{"whole", choice(&e.file.Whole, []filewatch.Extent{filewatch.Filesystem}), nil, "`filesystem`: the kernel tells of all of the file system that `path` is on, whoever acts and through whatever mount, and says who it was: `{pid}`. Events are of what is done below `path`, as deep as it goes, not of what is there at the start or in a directory that is moved in: `recursive` and `existing` are not for it. What the supervisor itself does, in callbacks too, is not told; of changes of `owner` and `mode` that follow each other at once, maybe the first only; below a directory that is renamed at the same time, `path` may be the new one. Needs root. Default: the directories are watched one by one."},
			}},
		pressureEvent(e),
		{name: "signal", doc: "Somebody sends the supervisor a signal.", spec: func() source.Spec { return e.signal }, rules: needs("signal"), keys: []key{
			{"signal", signals(&e.signal.Signals), nil, "Which: `USR1`, `USR2`, `WINCH`, `CONT`, `ALRM`, `IO`, `PWR`, or one of `RTMIN` to `RTMIN+30`, of which each one sent comes; or a list of them. Others are the supervisor's own. Required."},
		}},
		{name: "device", doc: "Something happens to a device: it comes, goes or changes.", spec: func() source.Spec { return e.device }, keys: []key{
			{"action", choices(&e.device.Actions, source.DeviceActions...), nil, "What happens, as `[\"add\", \"remove\"]`. Default: anything."},
			{"subsystem", texts(&e.device.Subsystems, pattern), nil, "Names or patterns of what the device is part of, as `[\"block\", \"usb*\"]`. Default: anything."},
		}},
		{name: "memory", doc: "A place in a process's memory is written. Needs root.", spec: func() source.Spec { return e.memory },
			rules: needs("pid", "address"), keys: []key{
				{"pid", count(&e.memory.PID, 1, 1<<22), nil, "The process. Required."},
				{"address", address(&e.memory.Address), nil, "The place, as `0x7ffd1000`: a multiple of `length`. Required."},
				{"length", count(&e.memory.Length, 1, 8), 8, "How many bytes: 1, 2, 4 or 8."},
				{"reads", boolean(&e.memory.Reads), false, "Reading it, too."},
			}},
		noticeType(e, "supervisor.limit", "An app reaches one of its limits: at most once in ten seconds for each."),
		noticeType(e, "supervisor.failed", "An event ends failed."),
		noticeType(e, "supervisor.died", "A handler's process ends in the middle of an event: what it had begun can be put right."),
		noticeType(e, "supervisor.deadline", "An event's handler has not started within its `deadline`."),
		noticeType(e, "supervisor.silence", "No event has arrived for as long as `silence` says."),
		{name: "supervisor.error", doc: "Something goes wrong on the way to one of this app's handlers. The reply decides what is done: `retry`, `skip` or `stop` ([delivery.md](delivery.md#errors)).",
			spec: func() source.Spec { return source.Notice{Kind: "supervisor.error", Apps: e.notice.Apps} }},
		noticeType(e, "supervisor.agent", "A handler's agents cannot be made, or are there again."),
		{name: "supervisor.*"},
	}
}

// noticeType is a type of what the supervisor tells of itself.
func noticeType(e *event, name, doc string) eventType {
	return eventType{name: name, doc: doc,
		spec: func() source.Spec { return source.Notice{Kind: name, Apps: e.notice.Apps} },
		keys: []key{
			{"apps", texts(&e.notice.Apps, pattern), nil, "Names or patterns of the apps it is about, as `[\"*\"]`. Default: this app."},
		},
	}
}

// needs is the schema of a table that states the keys.
func needs(keys ...string) object { return object{"required": keys} }

// reserved are rows of keys that a type will have.
func reserved(names ...string) []key {
	rows := make([]key, len(names))
	for i, name := range names {
		rows[i] = key{name, later, nil, ""}
	}
	return rows
}

// typeNames are the names of all event types.
func typeNames() []string {
	var names []string
	for _, t := range eventTypes(new(event)) {
		names = append(names, t.name)
	}
	return names
}

// typePattern reports an entry of `types` that means no event type.
func typePattern(pattern string) error {
	one := limits.Limits{Types: []string{pattern}}
	for _, t := range eventTypes(new(event)) {
		if t.spec != nil && one.AllowsType(t.name) {
			return nil
		}
	}
	return fmt.Errorf("%q means no event type%s", pattern, suggest(pattern, typeNames()))
}

// handlerOrName is the name of a handler or the table of one.
func handlerOrName(p *any) kind {
	return kind{
		name:   "name or table",
		schema: object{"anyOf": []any{object{"type": "string", "pattern": namePattern}, reference("handler")}},
		read: func(v any) error {
			switch v.(type) {
			case string, map[string]any:
				*p = v
				return nil
			}
			return errors.New("want a handler's name or its table")
		},
	}
}
