package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/source"
)

// Command is one event and its handler as a command line states them, without a file.
type Command struct {
	Type     string
	Settings []string // the event's keys, as KEY=VALUE
	Exec     []string
	Handover string // "": what goes with the type
}

// CommandName is what the app, the event and the handler of a command line are called.
const CommandName = "try"

// Parse makes of a command line what a file would come to that says the same. Errors stand at its words.
func (c Command) Parse() (*File, error) {
	d, err := newDecoder(CommandName)
	if err != nil {
		return nil, err
	}
	at := join(join(join("app", CommandName), "event"), CommandName)
	d.file.words, d.file.lines = []string{c.Type}, map[string]int{}
	event := map[string]any{"type": c.Type}
	for _, setting := range c.Settings {
		d.file.words = append(d.file.words, setting)
		key, value, ok := strings.Cut(setting, "=")
		path := join(at, key)
		switch _, twice := d.file.lines[path]; {
		case !ok || slices.Contains([]string{"type", "handler", "handlers"}, key):
			d.errors = append(d.errors, Error{Line: len(d.file.words), Word: setting, Message: "want KEY=VALUE, with a key of an event"})
			continue
		case twice:
			d.errors = append(d.errors, Error{Line: len(d.file.words), Word: setting, Message: "the key is there twice"})
			continue
		}
		event[key] = valueOf(c.Type, key, value)
		d.file.lines[path] = len(d.file.words)
	}
	d.file.words = append(d.file.words, strings.Join(c.Exec, " "))
	d.file.lines[join(at, "handler")] = len(d.file.words)
	event["handler"] = map[string]any{"exec": anys(c.Exec), "handover": c.handover(), "retries": int64(0)}
	one := func(name string, v any) map[string]any { return map[string]any{name: v} }
	return d.whole(one("app", one(CommandName, one("event", one(CommandName, event)))))
}

// handover is how a program that knows nothing of us gets an event of the type.
func (c Command) handover() string {
	row, _ := source.TypeNamed(c.Type)
	switch {
	case c.Handover != "":
		return c.Handover
	case row.Socket:
		return string(executor.Socket)
	case row.Data != "":
		return string(executor.Data)
	}
	return string(executor.None)
}

// valueOf is the value that a word of the command line stands for, which depends on what the key takes: a string is itself, a
// list is divided by commas, and all else is as TOML has it.
func valueOf(typ, name, word string) any {
	e := new(event)
	rows := eventKeys(e)
	for _, t := range eventTypes(e) {
		if t.name == typ {
			rows = append(rows, t.keys...)
		}
	}
	i := slices.IndexFunc(rows, func(k key) bool { return k.name == name })
	if i < 0 {
		return word
	}
	schema := rows[i].kind.schema
	one, list := takes(schema, "string"), takes(schema, "array")
	v, isTOML := tomlValue(word)
	switch _, isList := v.([]any); {
	case list && !isList && (!one || strings.Contains(word, ",")):
		var items []any
		for item := range strings.SplitSeq(word, ",") {
			items = append(items, scalar(item, takes(schema, "integers")))
		}
		return items
	case list && isList:
		return v
	}
	return scalar(word, !one || isTOML && takes(schema, "integer"))
}

// takes reports whether values of a JSON type may stand for a key; "integers" are in its list.
func takes(schema object, typ string) bool {
	if of, ok := schema["anyOf"].([]any); ok {
		return slices.ContainsFunc(of, func(s any) bool { return takes(s.(object), typ) })
	}
	if items, ok := schema["items"].(object); ok && typ == "integers" {
		return takes(items, "integer")
	}
	_, words := schema["enum"]
	return schema["type"] == typ || words && typ == "string"
}

// scalar is a word as TOML has it, or as the string that it is.
func scalar(word string, asTOML bool) any {
	if v, ok := tomlValue(word); ok && asTOML {
		return v
	}
	return word
}

// tomlValue is a value as TOML writes it.
func tomlValue(word string) (any, bool) {
	var t map[string]any
	_, err := toml.Decode(fmt.Sprintf("v = %s", word), &t)
	return t["v"], err == nil && len(t) == 1
}

// anys is a list of strings as the decoder gives it.
func anys(words []string) []any {
	list := make([]any, len(words))
	for i, w := range words {
		list[i] = w
	}
	return list
}
