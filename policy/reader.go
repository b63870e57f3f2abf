package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
)

// reader walks JSON text and remembers where each value stood: encoding/json tells neither the place of a mistake nor
// a key it does not know twice.
type reader struct {
	data   []byte
	dec    *json.Decoder
	places map[string]int // path -> offset
}

// value reads the value at path into what it was made for.
type value func(r *reader, path string) error

func newReader(data []byte) *reader {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return &reader{data: data, dec: dec, places: map[string]int{}}
}

// document reads the one value of the text.
func (r *reader) document(v value) error {
	if err := v(r, ""); err != nil {
		return err
	}
	at := r.next()
	if _, err := r.dec.Token(); err != io.EOF {
		return &mistake{offset: at, text: "text after the profile"}
	}
	return nil
}

// next returns the offset of the token that comes next.
func (r *reader) next() int {
	at := int(r.dec.InputOffset())
	for at < len(r.data) && bytes.IndexByte([]byte(" \t\r\n,:"), r.data[at]) >= 0 {
		at++
	}
	return at
}

// token reads the next token of the value at path.
func (r *reader) token(path string) (json.Token, error) {
	at := r.next()
	if _, again := r.places[path]; !again {
		r.places[path] = at
	}
	t, err := r.dec.Token()
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil, &mistake{path, len(r.data), "the text ends here"}
	}
	if err != nil {
		return nil, &mistake{path, at, err.Error()}
	}
	return t, nil
}

// place returns line and column, both from 1, of a mistake.
func (r *reader) place(m *mistake) (line, column int) {
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

// object reads {...} with no other keys than those given, each at most once. A null is an empty one, as in Go's JSON.
func object(fields map[string]value) value {
	return func(r *reader, path string) error {
		t, err := r.token(path)
		if err != nil || t == nil {
			return err
		}
		if t != json.Delim('{') {
			return mistaken(path, "want an object, not %s", describe(t))
		}
		seen := map[string]bool{}
		for r.dec.More() {
			if err := r.field(path, fields, seen); err != nil {
				return err
			}
		}
		_, err = r.token(path)
		return err
	}
}

func (r *reader) field(path string, fields map[string]value, seen map[string]bool) error {
	at := r.next()
	t, err := r.token(path)
	if err != nil {
		return err
	}
	key, ok := t.(string)
	inner := join(path, key)
	switch read, known := fields[key]; {
	case !ok:
		return &mistake{path, at, "want a key in quotes"}
	case !known:
		return &mistake{inner, at, "unknown key"}
	case seen[key]:
		return &mistake{inner, at, "given twice"}
	default:
		seen[key] = true
		return read(r, inner)
	}
}

// list reads [...] whose elements are read by what element makes.
func list[T any](dst *[]T, element func(*T) value) value {
	return func(r *reader, path string) error {
		t, err := r.token(path)
		if err != nil || t == nil {
			return err
		}
		if t != json.Delim('[') {
			return mistaken(path, "want a list, not %s", describe(t))
		}
		for i := 0; r.dec.More(); i++ {
			var e T
			if err := element(&e)(r, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
			*dst = append(*dst, e)
		}
		_, err = r.token(path)
		return err
	}
}

func text[S ~string](dst *S) value {
	return func(r *reader, path string) error {
		t, err := r.token(path)
		if err != nil {
			return err
		}
		s, ok := t.(string)
		if !ok {
			return mistaken(path, "want a string, not %s", describe(t))
		}
		*dst = S(s)
		return nil
	}
}

func integer[N uint | uint64](dst *N) value {
	return func(r *reader, path string) error {
		t, err := r.token(path)
		if err != nil {
			return err
		}
		n, ok := t.(json.Number)
		if !ok {
			return mistaken(path, "want a number, not %s", describe(t))
		}
		u, err := strconv.ParseUint(n.String(), 10, 64)
		if err != nil {
			return mistaken(path, "want a whole number from 0 to 2^64-1, not %s", n)
		}
		*dst = N(u)
		return nil
	}
}

// optional reads a value that is told from its absence.
func optional[T any](dst **T, read func(*T) value) value {
	return func(r *reader, path string) error {
		*dst = new(T)
		return read(*dst)(r, path)
	}
}

// describe says what a token is for those who wanted something else.
func describe(t json.Token) string {
	switch t := t.(type) {
	case nil:
		return "null"
	case json.Delim:
		if t == '{' {
			return "an object"
		}
		return "a list"
	case string:
		return strconv.Quote(t)
	default:
		return fmt.Sprint(t)
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
