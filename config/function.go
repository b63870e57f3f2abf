package config

import (
	"slices"

	"github.com/aem-exec/aem-exec/executor"
)

// builtins are the functions that callbacks and threads may call anywhere.
var builtins = []string{"log", "emit"}

// The arguments of the built-in functions.
type (
	logArgs  struct{ level, message string }
	emitArgs struct{ topic, data string }
)

func (l *logArgs) keys() []key {
	return []key{
		{"level", choice(&l.level, []string{"debug", "info", "warn", "error"}), nil, "How urgent the record is. Default: `info`."},
		{"message", text(&l.message), nil, "Its text, with `{facts}`. Default: `{type}`."},
	}
}

func (e *emitArgs) keys() []key {
	return []key{
		{"topic", text(&e.topic), nil, "`NAME` of this app or `APP/NAME`. Required."},
		{"data", text(&e.data), nil, "What is emitted, with `{facts}`. Default: the event's own data."},
	}
}

// function checks the keys of a handler that is a Go function.
func (d *decoder) function(a *app, h *handler) {
	d.refuse(h, processKeys(new(executor.Spec)), "process")
	at := join(h.at, "args")
	args := h.Args
	if args == nil {
		args = map[string]any{}
	}
	switch {
	case !h.states("call"):
		d.errorf(h.at, "call is missing: the function to run")
	case h.Call == "log":
		var l logArgs
		d.rows(at, args, l.keys())
		d.template(h, "args.message", l.message)
	case h.Call == "emit":
		var e emitArgs
		d.rows(at, args, e.keys())
		d.template(h, "args.data", e.data)
		if e.topic == "" {
			d.errorf(at, "topic is missing")
			return
		}
		args["topic"] = d.topic(at, a.Name, e.topic)
	case h.Call != "" && !slices.Contains(d.functions, h.Call):
		d.errorIn(h.at, "call", "%q is not a built-in (log, emit): a Go function needs the library embedded%s",
			h.Call, suggest(h.Call, slices.Concat(builtins, d.functions)))
	}
}
