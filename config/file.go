package config

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/aem-exec/aem-exec/supervisor"
)

// File is one configuration file without errors.
type File struct {
	Options  supervisor.Options
	Warnings []Error // what is allowed, but hardly meant

	name   string
	lines  map[string]int
	words  []string          // of a command line, which then are its lines
	inline map[string]string // the handlers declared inside of events: logical path -> path in the file
}

// Load reads a file. Beside the built-in functions, its callbacks and threads may call those named.
func Load(file string, functions ...string) (*File, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return Parse(file, text, functions...)
}

// Parse reads the text of a file called name: relative paths in it are relative to the folder of name. What is wrong
// with it is returned as Errors.
func Parse(name string, text []byte, functions ...string) (*File, error) {
	d, err := newDecoder(name)
	if err != nil {
		return nil, err
	}
	d.functions = functions
	var root map[string]any
	if _, err := toml.Decode(string(text), &root); err != nil {
		return nil, Errors{syntaxError(name, string(text), err)}
	}
	d.file.lines = lines(string(text))
	return d.whole(root)
}

// whole reads the generic values of a file.
func (d *decoder) whole(root map[string]any) (*File, error) {
	d.options(root)
	byLine(d.errors)
	byLine(d.file.Warnings)
	if len(d.errors) > 0 {
		return nil, d.errors
	}
	return d.file, nil
}

// syntaxError is the decoder's own error, at its line. The line that the decoder counts is the one after a table's name
// that has no end.
func syntaxError(name, text string, err error) Error {
	var p toml.ParseError
	if errors.As(err, &p) {
		line := 1 + strings.Count(text[:min(p.Position.Start, len(text))], "\n")
		return Error{File: name, Line: line, Message: strings.ReplaceAll(p.Message, "\n", " ")}
	}
	return Error{File: name, Line: 1, Message: err.Error()}
}

// Name is what the file is called.
func (f *File) Name() string { return f.name }

// Place is where a key or table stands, as "aem.toml:12: app.web.event.hello". A key that the file does not state is
// where its table is.
func (f *File) Place(key string) string {
	for handler, at := range f.inline {
		if rest, ok := strings.CutPrefix(key, handler); ok && (rest == "" || rest[0] == '.') {
			key = at + rest
		}
	}
	return strings.TrimSuffix(f.error(key, key, "").Error(), ": ")
}

// error is what is wrong with a key or table, told where at is.
func (f *File) error(at, key, message string) Error {
	e := Error{File: f.name, Line: f.line(at), Key: key, Message: message}
	if f.words != nil {
		e.Word = f.words[e.Line-1]
	}
	return e
}

// line is the line of a key, or of the nearest table around it that the file states, or 1.
func (f *File) line(key string) int {
	for {
		if line, ok := f.lines[key]; ok {
			return line
		}
		dot := strings.LastIndexByte(key, '.')
		if dot < 0 {
			return 1
		}
		key = key[:dot]
	}
}

func (d *decoder) options(root map[string]any) {
	o := &d.file.Options
	var apps map[string]any
	d.rows("", root, fileKeys(o, &apps))
	o.RuntimeDir = d.absolute(o.RuntimeDir)
	o.StateDir = d.absolute(o.StateDir)
	for _, name := range d.inOrder("app", apps) {
		o.Apps = append(o.Apps, d.app(name, apps[name]))
	}
}

// absolute is path as seen from the file's folder; "" stays.
func (d *decoder) absolute(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(d.dir, path)
}

// isPath reports whether s names a file itself; a bare name is looked up elsewhere.
func isPath(s string) bool { return strings.Contains(s, "/") }

// inOrder is the names in the table at, in the order of the file.
func (d *decoder) inOrder(at string, t map[string]any) []string {
	names := sorted(t)
	slices.SortStableFunc(names, func(a, b string) int {
		return d.file.line(join(at, a)) - d.file.line(join(at, b))
	})
	return names
}

// sorted is the keys of t in an order that does not change.
func sorted[V any](t map[string]V) []string { return slices.Sorted(maps.Keys(t)) }
