package config

import (
	"slices"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/source"
)

const (
	acceptType = "socket.accept"
	readyType  = "socket.ready"
	readType   = "socket.read"
	closeType  = "socket.close"
)

// frames are what is one event of socket.read.
var frames = []source.Frame{source.Chunk, source.Line, source.Length, source.Datagram}

// doorKeys are how the sockets of a type that listens are made, and who gets in.
func doorKeys(d *source.Door) []key { return append(socketKeys(d), guestKeys(d)...) }

// socketKeys are how they are made.
func socketKeys(d *source.Door) []key {
	return []key{
		{"backlog", count(&d.Backlog, 1, 65535), 4096, "Connections that wait in the kernel, which takes the smaller of this and `net.core.somaxconn`."},
		{"mode", octal(&d.Mode), nil, "Permissions of a unix socket's file. Default: what the umask leaves."},
		{"owner", text(&d.Owner), nil, "Owner of that file, by name or number."},
		{"group", text(&d.Group), nil, "Its group, likewise."},
		{"reuseport", boolean(&d.ReusePort), false, "Whether other processes may listen on the same port and get a share of what comes (man 7 socket, SO_REUSEPORT)."},
	}
}

// guestKeys are who gets in.
func guestKeys(d *source.Door) []key {
	return []key{
		{"allow", networks(&d.Allow), nil, "Who may connect, or send datagrams: addresses and networks, as `[\"127.0.0.1\", \"10.0.0.0/8\", \"fd00::/8\"]`. Others are disconnected. Default: everybody."},
		{"per_peer", count(&d.PerPeer, 1, 1_000_000), nil, "Connections of one peer at once: of an IPv4 address, an IPv6 network of 64 bits, or a local user. Further ones are disconnected. Default: any number."},
		{"rate", rate(&d.Rate), nil, "New connections in a time, as `\"100/s\"` or `\"10/5m\"`, all of which may come at once. Further ones wait in the kernel."},
	}
}

func acceptEvent(e *event) eventType {
	return eventType{name: acceptType, doc: "Somebody connects. Handovers `direct`, `socket` and `listen-fds`, or a callback or thread, and one handler.",
		spec: func() source.Spec { return e.accept }, rules: needs("listen"), keys: slices.Concat([]key{
			{"listen", addresses(&e.accept.Listen, "tcp", "unix", "unixpacket", "fd"), nil, "Where: `tcp://127.0.0.1:7007`, `tcp://[::]:80`, `unix:///run/x.sock`, `unix:@name`; `unixpacket:` for connections that keep the bounds of messages; `fd://name` for sockets that systemd or the like passes on under that name (`LISTEN_FDNAMES`). Required."},
		}, doorKeys(&e.accept.Door)),
	}
}

func readyEvent(e *event) eventType {
	return eventType{name: readyType, doc: "A socket has something: a connection, or a datagram. The socket itself is handed over, and not looked at until the event is done with (inetd's wait). Handovers `direct`, `socket` and `listen-fds`, or a callback or thread, and one handler.",
		spec: func() source.Spec { return e.ready }, rules: needs("listen"), keys: append([]key{
			{"listen", addresses(&e.ready.Listen, "tcp", "unix", "unixpacket", "udp", "unixgram", "fd"), nil, "Where: as for `socket.read`. Required."},
		}, socketKeys(&e.ready.Door)...),
	}
}

func readEvent(e *event) eventType {
	return eventType{name: readType, doc: "Somebody sends something. What is sent is the event's data, and a handler's reply is sent back. One handler.",
		spec: func() source.Spec { return e.read }, rules: needs("listen"), keys: slices.Concat([]key{
			{"listen", addresses(&e.read.Listen, "tcp", "unix", "unixpacket", "udp", "unixgram", "fd"), nil,
				"Where: as for `socket.accept`; `udp://127.0.0.1:53` and `unixgram:` for datagrams. Required."},
			{"frame", choice(&e.read.Frame, frames), nil, "What is one event: what a read gives, a line, a frame after its length in 4 bytes (the large one first), or a message. Default: `chunk`, and `datagram` where there are messages."},
			{"max_bytes", size(&e.read.MaxBytes, 1), "64KiB", "The longest frame. Who sends a longer one is disconnected; a longer datagram is thrown away."},
			{"connections", count(&e.read.Connections, 1, 1_000_000), 10_000, "Connections open at once; further clients wait in the kernel."},
			{"idle", duration(&e.read.Idle, time.Second), nil, "A connection that sends no frame for so long is closed, at the latest half as long again. Default: never."},
		}, doorKeys(&e.read.Door)),
	}
}

func closeEvent(e *event) eventType {
	return eventType{name: closeType, doc: "A connection of `socket.read` ends.",
		spec: func() source.Spec { return e.close }, rules: needs("of"), keys: []key{
			{"of", text(&e.close.Of), nil, "The `socket.read` event of this app whose connections are meant. Required."},
		},
	}
}

func stateEvent(e *event) eventType {
	return eventType{name: "socket.state", doc: "A TCP socket of this host changes its state, whoever has it. Needs root, or the capabilities BPF and PERFMON.",
		spec: func() source.Spec { return e.state }, keys: []key{
			{"ports", integers(&e.state.Ports, "ports", 1, 65535), nil, "Ports that one of the ends has. Default: all."},
			{"addresses", networks(&e.state.Addresses), nil, "Addresses and networks that one of the ends is in. Default: all."},
			{"states", tcpStates(&e.state.To), nil, "The new states that are told. Default: all."},
		},
	}
}

// ended completes the keys of socket.close.
func (d *decoder) ended(a *app, e *event) {
	of, _ := a.eventTables[e.close.Of].(map[string]any)
	switch {
	case e.stated["of"] == nil:
		d.errorf(e.at, "of is missing: the socket.read event whose connections are meant")
	case a.eventTables == nil: // a program registers it, and perhaps that one later
		if err := aem.CheckName(e.close.Of); err != nil {
			d.errorIn(e.at, "of", "%v", err)
		}
	case of["type"] != readType:
		d.errorIn(e.at, "of", "%q is no socket.read event of this app", e.close.Of)
	}
	e.close.Of = a.Name + "/" + e.close.Of
}

// framing completes the keys of socket.read.
func (d *decoder) framing(a *app, e *event) {
	e.read.Name = a.Name + "/" + e.Name
	if e.read.Frame == "" {
		e.read.Frame = source.Chunk
		if len(e.read.Listen) > 0 && e.read.Listen[0].Packets() {
			e.read.Frame = source.Datagram
		}
	}
	checked := e.read // what was refused already is not told again
	checked.MaxBytes, checked.Connections = max(1, checked.MaxBytes), max(1, checked.Connections)
	d.door(e, checked, checked.Listen)
}

// door checks the keys of a type that listens together.
func (d *decoder) door(e *event, spec source.Spec, listen []source.Address) {
	if d.own {
		for _, k := range readyEvent(new(event)).keys {
			if e.stated[k.name] != nil {
				d.errorIn(e.at, k.name, "%s is for sockets that the supervisor makes", k.name)
			}
		}
		return
	}
	switch err := source.Check(spec); {
	case e.stated["listen"] == nil:
		d.errorf(e.at, "listen is missing")
	case err != nil && len(listen) > 0: // else it was refused already
		d.errorf(e.at, "%v", err)
	}
}
