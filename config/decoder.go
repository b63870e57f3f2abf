package config

import (
	"fmt"
	"maps"
	"path/filepath"

	"github.com/aem-exec/aem-exec/policy"
)

// decoder walks the generic values of one file by the rows of the table and collects what is wrong.
type decoder struct {
	file      *File
	dir       string   // folder of the file, absolute
	functions []string // Go functions that an embedding program offers
	own       bool     // the table is of an event on a program's own socket
	errors    Errors
	profiles  map[string]*policy.Profile // that apps have named so far, by how they did
}

// newDecoder reads what is called name, as seen from its folder.
func newDecoder(name string) (*decoder, error) {
	path, err := filepath.Abs(name)
	return &decoder{file: &File{name: name, inline: map[string]string{}}, dir: filepath.Dir(path), profiles: map[string]*policy.Profile{}}, err
}

// errorf notes what is wrong with the key or table at.
func (d *decoder) errorf(at, format string, args ...any) {
	d.errors = append(d.errors, d.file.error(at, at, fmt.Sprintf(format, args...)))
}

// errorIn notes what is wrong with table because of one of its keys: it stands at the key's line.
func (d *decoder) errorIn(table, key, format string, args ...any) {
	d.errors = append(d.errors, d.file.error(join(table, key), table, fmt.Sprintf(format, args...)))
}

// warnf notes what is hardly meant at the key or table at.
func (d *decoder) warnf(at, format string, args ...any) {
	d.file.Warnings = append(d.file.Warnings, d.file.error(at, at, fmt.Sprintf(format, args...)))
}

// rows reads the table at by its rows: every key is known and of its kind, or an error; what is not stated takes its
// default. It returns what the file states, a misspelt key under its right name too: that it is missing is not told beside.
func (d *decoder) rows(at string, v any, rows []key) map[string]any {
	stated, ok := v.(map[string]any)
	if !ok {
		d.errorf(at, "want a table")
	}
	known := map[string]bool{}
	for _, k := range rows {
		known[k.name] = true
		v, ok := stated[k.name]
		switch {
		case k.kind.rows != nil && !ok:
			d.rows(join(at, k.name), map[string]any{}, k.kind.rows)
		case k.kind.rows != nil:
			d.rows(join(at, k.name), v, k.kind.rows)
		case ok:
			d.read(join(at, k.name), v, k.kind)
		case k.def != nil:
			d.read(join(at, k.name), k.def, k.kind)
		}
	}
	all := maps.Clone(stated)
	for _, name := range sorted(stated) {
		if known[name] {
			continue
		}
		text, own := meant(name, known)
		d.errorIn(at, name, "unknown key %q%s", name, text)
		if _, ok := stated[own]; own != "" && !ok {
			all[own] = stated[name]
		}
	}
	return all
}

// read reads one value. A kind may find several things wrong with it: they are told apart.
func (d *decoder) read(at string, v any, k kind) {
	if n, ok := v.(int); ok {
		v = int64(n) // TOML's integers, as which defaults are read too
	}
	err := k.read(v)
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range several.Unwrap() {
			d.errorf(at, "%v", err)
		}
		return
	}
	if err != nil {
		d.errorf(at, "%v", err)
	}
}
