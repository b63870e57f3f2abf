package config

import (
	"bytes"
	"os"
	"slices"
	"testing"

	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/source"
	"github.com/aem-exec/aem-exec/supervisor"
)

func TestGeneratedFilesAreCurrent(t *testing.T) {
	for file, want := range map[string][]byte{
		"../docs/config.md": Docs(), "../docs/events.md": EventDocs(), "../configs/aem.schema.json": Schema(),
	} {
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the table of keys says: run go generate ./config", file)
		}
	}
}

// TestTypesHaveTheirRows_R021: a type is supported when the file knows its keys and there is a source that makes its
// events, and not otherwise.
func TestTypesHaveTheirRows_R021(t *testing.T) {
	supported := map[string]bool{}
	for _, typ := range eventTypes(new(event)) {
		_, there := source.TypeNamed(typ.name)
		if supported[typ.name] = typ.spec != nil; there != supported[typ.name] {
			t.Errorf("%s: keys %t, a source %t", typ.name, typ.spec != nil, there)
		}
		if there && typ.facts != nil {
			t.Errorf("%s: its facts stand in the source's row", typ.name)
		}
		if spec := typ.spec; spec != nil && spec().Type() != typ.name {
			t.Errorf("%s makes a %s", typ.name, spec().Type())
		}
	}
	for _, row := range source.Types() {
		if !supported[row.Name] {
			t.Errorf("%s has no keys", row.Name)
		}
		for _, f := range row.Facts {
			if slices.Contains(commonFacts(), f.Name) || f.About == "" {
				t.Errorf("%s: fact %s is common, or nobody says what it is", row.Name, f.Name)
			}
		}
	}
}

// everyTable is the rows of each table, by its name.
func everyTable() map[string][]key {
	tables := map[string][]key{
		"file": fileKeys(new(supervisor.Options), new(map[string]any)), "app": appKeys(new(app)),
		"handler": handlerKeys(new(executor.Spec)), "event": eventKeys(new(event)),
		"log": new(logArgs).keys(), "emit": new(emitArgs).keys(),
	}
	for _, t := range eventTypes(new(event)) {
		tables[t.name] = append(eventKeys(new(event)), t.keys...) // a type never has a common key's name
	}
	return tables
}

func TestTableIsWhole(t *testing.T) {
	for name, rows := range everyTable() {
		checkTable(t, name, rows)
	}
}

// checkTable checks that names are unique, kinds whole and defaults of their own kind.
func checkTable(t *testing.T, table string, rows []key) {
	t.Helper()
	seen := map[string]bool{}
	for _, k := range rows {
		at := join(table, k.name)
		if seen[k.name] {
			t.Errorf("%s is there twice", at)
		}
		seen[k.name] = true
		if k.kind.rows != nil {
			checkTable(t, at, k.kind.rows)
			continue
		}
		if k.kind.name == "" || k.kind.read == nil || k.kind.schema == nil {
			t.Errorf("%s: its kind is not whole", at)
			continue
		}
		d := &decoder{file: &File{}}
		if k.def != nil {
			d.read(at, k.def, k.kind)
		}
		if len(d.errors) > 0 {
			t.Errorf("%s: its default: %v", at, d.errors)
		}
	}
}
