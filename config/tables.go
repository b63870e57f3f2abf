package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/source"
	"github.com/aem-exec/aem-exec/supervisor"
)

// Tables reads the tables that programs send while the supervisor runs: JSON, with the keys of the file, judged by the same
// rows.
type Tables struct{}

// Event reads an event's table, which names no handler; on a socket of the program's own it states nothing of sockets. Mistakes are told together, each with its key; what the app may
// the supervisor judges.
func (Tables) Event(appName, name string, table []byte, own bool) (supervisor.Registration, error) {
	d := newTableDecoder()
	d.own = own
	v, err := fromJSON(table)
	if err != nil {
		return supervisor.Registration{}, fmt.Errorf("%s: %w", name, err)
	}
	a := &app{App: supervisor.App{Name: appName}}
	a.Limits.PriorityMax = aem.PriorityLevels - 1
	e := d.eventOf(a, name, v)
	return e.Registration, d.problems()
}

// eventOf is event for a table that stands alone.
func (d *decoder) eventOf(a *app, name string, v any) *event {
	e := &event{Registration: supervisor.Registration{Name: name}, at: name}
	stated, ok := v.(map[string]any)
	if !ok {
		d.errorf(name, "want a table")
		return e
	}
	for _, key := range []string{"handler", "handlers"} {
		if stated[key] != nil {
			d.errorIn(name, key, "%s is for the file: the program that registers the event handles it", key)
		}
	}
	t, rows := d.eventType(e, stated)
	e.stated = d.rows(name, d.ownKeys(e, t, stated), slices.Concat(eventKeys(e), rows))
	e.Handlers, e.handler = nil, nil
	e.Start = e.Start && stated["start"] != nil // born stopped
	if t.spec == nil {
		return e
	}
	if d.own && t.name != readyType {
		d.errorIn(name, "type", "type %s is not for a socket of the program's own: %s is", t.name, readyType)
		return e
	}
	if d.own {
		e.ready.Own = new(source.OwnSocket)
	}
	d.source(a, e)
	e.Source = t.spec()
	d.arrivals(e, t)
	for _, path := range []string{e.file.Path, e.exit.PIDFile} {
		if path != "" && !filepath.IsAbs(path) {
			d.errorf(name, "%q: want an absolute path: the program's folder is not the supervisor's", path)
		}
	}
	return e
}

// own are the keys of a handler's table that a program may state of itself. The others say how to make it.
var own = []string{"concurrency", "timeout", "retries", "backoff", "ready_timeout", "kill_after", "arena"}

// Handler reads what a program states of the handler that it is.
func (Tables) Handler(name string, table []byte) (executor.Spec, error) {
	d := newTableDecoder()
	v, err := any(map[string]any{}), error(nil)
	if len(table) > 0 {
		v, err = fromJSON(table)
	}
	if err != nil {
		return executor.Spec{}, fmt.Errorf("handler: %w", err)
	}
	h := &handler{Spec: executor.Spec{Name: name}, at: "handler"}
	h.stated = d.rows(h.at, v, handlerKeys(&h.Spec))
	h.Life, h.Handover, h.LeftoverSet = executor.Attached, executor.Direct, false
	for _, key := range sorted(h.stated) {
		if !slices.Contains(own, key) {
			d.errorIn(h.at, key, "%s is for programs that are started: this one may state %s", key, list(own))
		}
	}
	d.growing(h, "backoff", h.Backoff)
	d.arena(h)
	return h.Spec, d.problems()
}

func newTableDecoder() *decoder { return &decoder{file: &File{inline: map[string]string{}}} }

// problems is what was found, in one line.
func (d *decoder) problems() error {
	if len(d.errors) == 0 {
		return nil
	}
	texts := make([]string, len(d.errors))
	for i, e := range d.errors {
		texts[i] = e.Key + ": " + e.Message
	}
	return errors.New(strings.Join(texts, "; "))
}

// fromJSON reads a table as the TOML decoder would have it.
func fromJSON(text []byte) (v any, err error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err = dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("want a table in JSON: %w", err)
	}
	if _, err = dec.Token(); err != io.EOF {
		return nil, errors.New("want one table in JSON, and nothing behind it")
	}
	return asTOML(v)
}

// asTOML makes numbers what TOML has: whole ones, and others. null is nothing in TOML.
func asTOML(v any) (_ any, err error) {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, nil
		}
		return v.Float64()
	case []any:
		for i := range v {
			if v[i], err = asTOML(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for key := range v {
			if v[key], err = asTOML(v[key]); err != nil {
				return nil, err
			}
		}
	case nil:
		return nil, errors.New("null is no value: leave the key out")
	}
	return v, nil
}

var _ supervisor.Tables = Tables{}
