package executor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/aem-exec/aem-exec/aem"
)

// invocation runs a handler inside the supervisor for one activation.
type invocation func(ctx context.Context, a *aem.Activation) error

// builtins are the functions that every supervisor has, made from a handler's arguments.
var builtins = map[string]func(w *Workplace, spec *Spec) (invocation, error){
	"log":  newLog,
	"emit": newEmit,
}

// ErrFull is what publishing says when a subscriber's app is at a limit: nothing was detected, try again later.
var ErrFull = errors.New("a subscriber is at a limit")

// invoke finds what a callback or a thread runs: a built-in or, embedded, a registered Go function.
func (w *Workplace) invoke(spec *Spec) (invocation, error) {
	if builtin, ok := builtins[spec.Call]; ok {
		return builtin(w, spec)
	}
	if f, ok := w.Functions[spec.Call]; ok {
		return func(ctx context.Context, a *aem.Activation) error { return f(ctx, a.Event) }, nil
	}
	return nil, fmt.Errorf("%q is not a built-in (log, emit): a Go function needs the library embedded", spec.Call)
}

// newLog makes the built-in `log`: a record of args.level with args.message, facts in their places.
func newLog(w *Workplace, spec *Spec) (invocation, error) {
	var level slog.Level
	if name := spec.text("level", "info"); level.UnmarshalText([]byte(name)) != nil {
		return nil, fmt.Errorf("args.level: %q is no level (debug, info, warn, error)", name)
	}
	message, err := ParseTemplate(spec.text("message", "{type}"))
	if err != nil {
		return nil, fmt.Errorf("args.message: %w", err)
	}
	return func(ctx context.Context, a *aem.Activation) error {
		text, err := message.Expand(facts(w.App, spec.Name, a))
		if err != nil {
			return aem.Fail(err)
		}
		w.Log.Log(ctx, level, text, "app", w.App, "event", a.Name, "id", a.Event.ID)
		return nil
	}, nil
}

// newEmit makes the built-in `emit`: a publication under args.topic of args.data or else the event's own data.
func newEmit(w *Workplace, spec *Spec) (invocation, error) {
	topic := spec.text("topic", "")
	if topic == "" {
		return nil, errors.New("args.topic is missing")
	}
	data, err := ParseTemplate(spec.text("data", ""))
	if err != nil {
		return nil, fmt.Errorf("args.data: %w", err)
	}
	_, own := spec.Args["data"]
	publish := w.Publish
	if spec.Agent == Thread {
		publish = w.publishFromThread
	}
	return func(_ context.Context, a *aem.Activation) error {
		payload := a.Event.Data
		switch {
		case own:
			text, err := data.Expand(facts(w.App, spec.Name, a))
			if err != nil {
				return aem.Fail(err)
			}
			payload = []byte(text)
		case a.Event.Origin != nil: // which has its data back when this event ends
			payload = bytes.Clone(payload)
		}
		return publish(topic, payload)
	}, nil
}

// publishFromThread has the loop publish, and waits for it.
func (w *Workplace) publishFromThread(topic string, data []byte) error {
	published := make(chan error, 1)
	w.Loop.Post(func() { published <- w.Publish(topic, data) })
	return <-published
}

// text is a text argument of the handler.
func (s *Spec) text(name, otherwise string) string {
	if v, ok := s.Args[name].(string); ok {
		return v
	}
	return otherwise
}
