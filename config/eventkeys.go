package config

import (
	"errors"
	"fmt"
	"slices"

	"github.com/aem-exec/aem-exec/aem"
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
	read     source.Read
	topic    source.Topic
	file     source.File
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
		{"arrivals", choice(new(string), []string{"each"}, "merge", "skip", "replace"), "each", "What happens to arrivals when `concurrency` is used up."},
		{"expire", later, nil, "Not run after waiting so long."},
		{"deadline", later, nil, "Time from the event to its handler's start."},
		{"silence", later, nil, "An event when none arrives for so long."},
		{"filter", later, nil, "Which events are meant."},
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
		{name: acceptType, doc: "Somebody connects. Handovers `direct` and `socket`, or a callback or thread, and one handler.",
			spec: func() source.Spec { return e.accept }, rules: needs("listen"), keys: slices.Concat([]key{
				{"listen", addresses(&e.accept.Listen, "tcp", "unix", "unixpacket", "fd"), nil, "Where: `tcp://127.0.0.1:7007`, `tcp://[::]:80`, `unix:///run/x.sock`, `unix:@name`; `unixpacket:` for connections that keep the bounds of messages; `fd://name` for sockets that systemd or the like passes on under that name (`LISTEN_FDNAMES`). Required."},
			}, doorKeys(&e.accept.Door))},
		{name: readType, doc: "Somebody sends something. What is sent is the event's data, and a handler's reply is sent back. One handler.",
			spec: func() source.Spec { return e.read }, rules: needs("listen"), keys: slices.Concat([]key{
				{"listen", addresses(&e.read.Listen, "tcp", "unix", "unixpacket", "udp", "unixgram", "fd"), nil,
					"Where: as for `socket.accept`; `udp://127.0.0.1:53` and `unixgram:` for datagrams. Required."},
				{"frame", choice(&e.read.Frame, frames), nil, "What is one event: what a read gives, a line, a frame after its length in 4 bytes (the large one first), or a message. Default: `chunk`, and `datagram` where there are messages."},
				{"max_bytes", size(&e.read.MaxBytes, 1), "64KiB", "The longest frame. Who sends a longer one is disconnected; a longer datagram is thrown away."},
				{"connections", count(&e.read.Connections, 1, 1_000_000), 10_000, "Connections open at once; further clients wait in the kernel."},
			}, doorKeys(&e.read.Door))},
		{name: "topic", doc: "Somebody emits.", spec: func() source.Spec { return e.topic }, keys: slices.Concat([]key{
			{"topic", text(&e.topic.Name), nil, "`NAME` of this app or `APP/NAME`. Default: the event's name."},
		}, reserved("from", "share", "retain"))},
		{name: "socket.ready", keys: reserved("listen")},
		{name: "socket.close"},
		{name: "socket.state"},
		{name: "process.exit", facts: []string{"pid"}, keys: reserved("pid", "pidfile", "exe", "cgroup")},
		{name: "file", doc: "Something happens to the entries of a directory, or to one file.", spec: func() source.Spec { return e.file },
			rules: needs("path"), keys: []key{
				{"path", text(&e.file.Path), nil, "The directory, or one file, which need not be there yet. Relative to this file. Required."},
				{"on", operations(&e.file.On), []any{"written", "rename", "remove"}, "What happens: " + operationsMeaning + "."},
				{"match", texts(&e.file.Match, pattern), nil, "Patterns of names, as `*.csv`; with a slash, of paths below `path`. Default: all."},
				{"recursive", boolean(&e.file.Recursive), false, "Directories in it too, as deep as they go."},
				{"existing", boolean(&e.file.Existing), false, "An event for each entry that is there at the start, too."},
			}},
		{name: "pressure", keys: reserved("resource", "some", "clear")},
		{name: "signal"},
		{name: "device"},
		noticeType(e, "supervisor.limit", "An app reaches one of its limits: at most once in ten seconds for each."),
		noticeType(e, "supervisor.failed", "An event ends failed."),
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

const (
	acceptType = "socket.accept" // the one type whose events carry a connection
	readType   = "socket.read"
)

// frames are what is one event of socket.read.
var frames = []source.Frame{source.Chunk, source.Line, source.Length, source.Datagram}

// doorKeys are how the sockets of a type that listens are made, and who gets in.
func doorKeys(d *source.Door) []key {
	return []key{
		{"backlog", count(&d.Backlog, 1, 65535), 4096, "Connections that wait in the kernel, which takes the smaller of this and `net.core.somaxconn`."},
		{"mode", octal(&d.Mode), nil, "Permissions of a unix socket's file. Default: what the umask leaves."},
		{"owner", text(&d.Owner), nil, "Owner of that file, by name or number."},
		{"group", text(&d.Group), nil, "Its group, likewise."},
		{"reuseport", boolean(&d.ReusePort), false, "Whether other processes may listen on the same port and get a share of what comes (man 7 socket, SO_REUSEPORT)."},
		{"allow", networks(&d.Allow), nil, "Who may connect, or send datagrams: addresses and networks, as `[\"127.0.0.1\", \"10.0.0.0/8\", \"fd00::/8\"]`. Others are disconnected. Default: everybody."},
		{"per_peer", count(&d.PerPeer, 1, 1_000_000), nil, "Connections of one peer at once: of an IPv4 address, an IPv6 network of 64 bits, or a local user. Further ones are disconnected. Default: any number."},
		{"rate", rate(&d.Rate), nil, "New connections in a time, as `\"100/s\"` or `\"10/5m\"`, all of which may come at once. Further ones wait in the kernel."},
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
	var reserved bool
	for _, t := range eventTypes(new(event)) {
		if one.AllowsType(t.name) {
			if t.spec != nil {
				return nil
			}
			reserved = true
		}
	}
	if reserved {
		return fmt.Errorf("%q is %s", pattern, laterName)
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
