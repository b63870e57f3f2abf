package strict

import (
	"bytes"
	"fmt"
	"strings"
)

// Mistake is what is wrong with a text, and at which value of it.
type Mistake struct {
	path   string // as in syscalls[3].args[0].op; empty for the whole
	offset int    // in the text, -1: where path is
	text   string
}

// Mistaken is a mistake at the value of a path.
func Mistaken(path, format string, args ...any) *Mistake {
	return &Mistake{path: path, offset: -1, text: fmt.Sprintf(format, args...)}
}

func (m *Mistake) Error() string {
	if m.path == "" {
		return m.text
	}
	return m.path + ": " + m.text
}

// Here is a mistake at the token that comes next, whatever value it belongs to.
func (r *Reader) Here(path, text string) *Mistake { return &Mistake{path, r.next(), text} }

// Place returns line and column, both from 1, of a mistake. One of a value that is missing is where the value around it is.
func (r *Reader) Place(m *Mistake) (line, column int) {
	at := m.offset
	for path := m.path; at < 0; path = parent(path) {
		if found, ok := r.places[path]; ok {
			at = found
		} else if path == "" {
			at = 0
		}
	}
	before := r.data[:min(at, len(r.data))]
	return bytes.Count(before, []byte("\n")) + 1, len(before) - bytes.LastIndexByte(before, '\n')
}

// parent returns the path of the value that holds the one of path.
func parent(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}

// Join is the path of a key in the object at path.
func Join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
