package config

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/aem-exec/aem-exec/source"
)

// EventType is one type of event as people are told of it: what the file may say of it, and what its source makes.
type EventType struct {
	source.Type
	About string
	Keys  []Key
}

// Key is one key of the file as people are told of it.
type Key struct {
	Name    string `json:"name"`
	Value   string `json:"value"`             // what it takes
	Default any    `json:"default,omitempty"` // nil: none
	Meaning string `json:"meaning"`
}

// Connects reports whether events of a type bring a connection.
func Connects(typ string) bool { return typ == acceptType }

// EventTypes are the types that are supported, in the order of the table.
func EventTypes() []EventType {
	var all []EventType
	for _, t := range eventTypes(new(event)) {
		if t.spec == nil {
			continue
		}
		row, _ := source.TypeNamed(t.name) // a test holds the two tables together
		e := EventType{Type: row, About: t.doc}
		for _, k := range t.keys {
			if k.kind.name != laterName {
				e.Keys = append(e.Keys, Key{k.name, k.kind.name, k.def, k.doc})
			}
		}
		all = append(all, e)
	}
	return all
}

const eventDocsHead = `# Types of events

<!-- Written by "go generate ./config" from the tables of types: edit those. -->

What can be detected, what each event brings, and what of the kernel it stands on. ` + "`aem-exec sources`" + ` prints the same, and
says which of it this host's kernel can do. [config.md](config.md) has the keys that all events share. To see events of a type
without a file: ` + "`aem-exec try TYPE KEY=VALUE... -- PROGRAM`" + ` waits for one and runs a program for it.

A **fact** is a short named value of an event. Programs get facts as ` + "`{name}`" + ` in their arguments, as ` + "`AEM_NAME`" + ` in the
environment of a process made for the event, and from an SDK by name. An event's ` + "`filter`" + ` is an expression on the facts
of its type and on ` + "`count`, `time`, `size` (bytes of data), `text` (the data) and `data`" + ` (its fields, where it is a JSON object of
64 KiB at most): with ` + "`== != < <= > >= && || ! in + - * / %`, `startsWith`, `endsWith`, `contains`, `matches` (a regular expression)," + `
` + "`?.`, `1..5`, `[1, 2]`" + ` and the functions ` + "`len abs int float string trim upper lower indexOf now duration date`" + `. An event that
cannot be judged by it passes. Events of every type have:

`

const kernelHead = `
## The kernel

What each type stands on, and the version that has it first. aem-exec itself wants Linux 6.1; a configuration or a container may
lack what its version has, so what counts is what ` + "`aem-exec sources`" + ` says of the host. Types that are not here need nothing.

| Type | Linux | What of it |
| --- | --- | --- |
`

// EventDocs is docs/events.md: every type with its keys, facts, data and kernel facility.
func EventDocs() []byte {
	var b bytes.Buffer
	b.WriteString(eventDocsHead)
	factRows(&b, source.Common)
	for _, t := range EventTypes() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", t.Name, t.About)
		if t.Keys != nil {
			fmt.Fprintf(&b, "\n| Key | Value | Default | Meaning |\n| --- | --- | --- | --- |\n")
		}
		for _, k := range t.Keys {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.Name, k.Value, literal(k.Default), k.Meaning)
		}
		if t.Facts != nil {
			b.WriteString("\n")
			factRows(&b, t.Facts)
		}
		fmt.Fprintf(&b, "\nData: %s. With `arrivals = \"merge\"`: %s.\n", orNothing(t.Data, "none"), orNothing(t.Merged, "refused"))
	}
	b.WriteString(kernelHead)
	for _, t := range EventTypes() {
		if t.Kernel != "" {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", t.Name, t.Linux, t.Kernel)
		}
	}
	return b.Bytes()
}

func factRows(b *bytes.Buffer, fields []source.Field) {
	fmt.Fprintf(b, "| Fact | Kind | Meaning |\n| --- | --- | --- |\n")
	for _, f := range fields {
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", f.Name, f.Kind, f.About)
	}
}

func orNothing(text, nothing string) string {
	if text == "" {
		return nothing
	}
	return text
}

// literal is a default as the file would have it, in code type.
func literal(def any) string {
	if def == nil {
		return ""
	}
	text, _ := json.Marshal(def) // strings, numbers and lists look alike in JSON and TOML
	return "`" + string(text) + "`"
}
