package strict

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// Reader walks JSON text and remembers where each value stood: encoding/json tells neither the place of a mistake nor
// a key it does not know twice.
type Reader struct {
	data   []byte
	dec    *json.Decoder
	places map[string]int // path -> offset
}

// Value reads the value at path into what it was made for.
type Value func(r *Reader, path string) error

// NewReader makes a reader of a text.
func NewReader(data []byte) *Reader {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return &Reader{data: data, dec: dec, places: map[string]int{}}
}

// Document reads the one value of the text.
func (r *Reader) Document(v Value) error {
	if err := v(r, ""); err != nil {
		return err
	}
	at := r.next()
	if _, err := r.dec.Token(); err != io.EOF {
		return &Mistake{offset: at, text: "text after the end"}
	}
	return nil
}

// next returns the offset of the token that comes next.
func (r *Reader) next() int {
	at := int(r.dec.InputOffset())
	for at < len(r.data) && bytes.IndexByte([]byte(" \t\r\n,:"), r.data[at]) >= 0 {
		at++
	}
	return at
}

// token reads the next token of the value at path.
func (r *Reader) token(path string) (json.Token, error) {
	at := r.next()
	if _, again := r.places[path]; !again {
		r.places[path] = at
	}
	t, err := r.dec.Token()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, &Mistake{path, len(r.data), "the text ends here"}
	}
	if err != nil {
		return nil, &Mistake{path, at, err.Error()}
	}
	return t, nil
}

// Object reads {...} with no other keys than those given, each at most once. A null is an empty one, as in Go's JSON.
func Object(fields map[string]Value) Value {
	return Map(func(key string) (Value, bool) {
		read, known := fields[key]
		return read, known
	})
}

// Map reads {...} with the keys that entry knows, each at most once, as what it says.
func Map(entry func(key string) (read Value, known bool)) Value {
	return func(r *Reader, path string) error {
		t, err := r.token(path)
		if err != nil || t == nil {
			return err
		}
		if t != json.Delim('{') {
			return Mistaken(path, "want an object, not %s", describe(t))
		}
		seen := map[string]bool{}
		for r.dec.More() {
			if err := r.field(path, entry, seen); err != nil {
				return err
			}
		}
		_, err = r.token(path)
		return err
	}
}

func (r *Reader) field(path string, entry func(string) (Value, bool), seen map[string]bool) error {
	at := r.next()
	t, err := r.token(path)
	if err != nil {
		return err
	}
	key, ok := t.(string)
	inner := Join(path, key)
	switch read, known := entry(key); {
	case !ok:
		return &Mistake{path, at, "want a key in quotes"}
	case !known:
		return &Mistake{inner, at, "unknown key"}
	case seen[key]:
		return &Mistake{inner, at, "given twice"}
	default:
		seen[key] = true
		return read(r, inner)
	}
}

// List reads [...] whose elements are read by what element makes.
func List[T any](dst *[]T, element func(*T) Value) Value {
	return func(r *Reader, path string) error {
		t, err := r.token(path)
		if err != nil || t == nil {
			return err
		}
		if t != json.Delim('[') {
			return Mistaken(path, "want a list, not %s", describe(t))
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

// Boolean reads true or false.
func Boolean(dst *bool) Value {
	return func(r *Reader, path string) error {
		t, err := r.token(path)
		if err != nil {
			return err
		}
		b, ok := t.(bool)
		if !ok {
			return Mistaken(path, "want true or false, not %s", describe(t))
		}
		*dst = b
		return nil
	}
}

// Text reads a string.
func Text[S ~string](dst *S) Value {
	return func(r *Reader, path string) error {
		t, err := r.token(path)
		if err != nil {
			return err
		}
		s, ok := t.(string)
		if !ok {
			return Mistaken(path, "want a string, not %s", describe(t))
		}
		*dst = S(s)
		return nil
	}
}

// Integer reads a whole number that is not negative.
func Integer[N uint | uint64](dst *N) Value {
	return func(r *Reader, path string) error {
		t, err := r.token(path)
		if err != nil {
			return err
		}
		n, ok := t.(json.Number)
		if !ok {
			return Mistaken(path, "want a number, not %s", describe(t))
		}
		u, err := strconv.ParseUint(n.String(), 10, 64)
		if err != nil {
			return Mistaken(path, "want a whole number from 0 to 2^64-1, not %s", n)
		}
		*dst = N(u)
		return nil
	}
}

// Optional reads a value that is told from its absence.
func Optional[T any](dst **T, read func(*T) Value) Value {
	return func(r *Reader, path string) error {
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
