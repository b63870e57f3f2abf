package config

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aem-exec/aem-exec/source"
)

// object is a JSON object.
type object = map[string]any

// kind is what values a key takes: its name in the documentation, its JSON schema, and how a value is read into the
// place it is for.
type kind struct {
	name   string
	schema object
	read   func(v any) error
	rows   []key // of a table
}

// then is k with a further check, or use, of what was read.
func (k kind) then(f func() error) kind {
	read := k.read
	k.read = func(v any) error {
		if err := read(v); err != nil {
			return err
		}
		return f()
	}
	return k
}

// or is k or one word, which f takes.
func (k kind) or(word string, f func()) kind {
	read := k.read
	k.name = fmt.Sprintf("%s, or %q", k.name, word)
	k.schema = object{"anyOf": []any{object{"const": word}, k.schema}}
	k.read = func(v any) error {
		if v == word {
			f()
			return nil
		}
		err := read(v)
		if _, ok := v.(string); ok && err != nil {
			return fmt.Errorf("%v, or %q", err, word)
		}
		return err
	}
	return k
}

// later is the kind of a key that is reserved.
var later = kind{name: laterName, schema: object{"not": object{}}, read: func(any) error { return errors.New(laterName) }}

const laterName = "not supported yet"

// The kinds of single values follow. Each reads into p; numbers, durations and sizes have bounds, so that what cannot
// be meant is told where it is written.

func text(p *string) kind {
	return kind{name: "string", schema: object{"type": "string"}, read: func(v any) error {
		s, ok := v.(string)
		if !ok {
			return errors.New("want a string")
		}
		if strings.IndexByte(s, 0) >= 0 {
			return errors.New("a string here cannot hold a NUL byte")
		}
		*p = s
		return nil
	}}
}

func boolean(p *bool) kind {
	return kind{name: "boolean", schema: object{"type": "boolean"}, read: func(v any) error {
		b, ok := v.(bool)
		if !ok {
			return errors.New("want true or false")
		}
		*p = b
		return nil
	}}
}

func count[T ~int | ~int64 | ~uint8](p *T, least, most int64) kind {
	return kind{
		name:   fmt.Sprintf("integer, %d to %d", least, most),
		schema: object{"type": "integer", "minimum": least, "maximum": most},
		read: func(v any) error {
			n, ok := v.(int64)
			if !ok || n < least || n > most {
				return fmt.Errorf("want a whole number from %d to %d", least, most)
			}
			*p = T(n)
			return nil
		},
	}
}

func number(p *float64, least, most float64) kind {
	return kind{
		name:   fmt.Sprintf("number, %v to %v", least, most),
		schema: object{"type": "number", "minimum": least, "maximum": most},
		read: func(v any) error {
			f, ok := v.(float64)
			if n, whole := v.(int64); whole {
				f, ok = float64(n), true
			}
			if !ok || !(f >= least && f <= most) { // so that NaN is refused too
				return fmt.Errorf("want a number from %v to %v", least, most)
			}
			*p = f
			return nil
		},
	}
}

func duration(p *time.Duration, least time.Duration) kind {
	schema := object{"type": "string", "pattern": `^\+?([0-9]+d)?([0-9]*\.?[0-9]*(h|m|s|ms|us|µs|μs|ns))*$`, "minLength": 1}
	return kind{name: "duration", schema: schema, read: func(v any) error {
		s, ok := v.(string)
		if !ok {
			return errors.New(`want a duration like "2s"`)
		}
		d, err := ParseDuration(s)
		if err == nil && (d < least || d > maxDuration) {
			err = fmt.Errorf("want a duration from %s to %s", formatDuration(least), formatDuration(maxDuration))
		}
		if err == nil {
			*p = d
		}
		return err
	}}
}

// address is a place in memory.
func address(p *uint64) kind {
	return kind{name: "address", schema: object{"type": "string", "pattern": "^0x[0-9a-fA-F]{1,16}$"}, read: func(v any) error {
		s, _ := v.(string)
		digits, ok := strings.CutPrefix(s, "0x")
		n, err := strconv.ParseUint(digits, 16, 64)
		if !ok || err != nil {
			return errors.New(`want an address as a string, like "0x7ffd1000"`)
		}
		*p = n
		return nil
	}}
}

func size[T ~int | ~int64](p *T, least int64) kind {
	schema := object{"anyOf": []any{
		object{"type": "integer", "minimum": least, "maximum": int64(maxSize)},
		object{"type": "string", "pattern": "^[0-9]+([KMG]|[KMG]iB)$"},
	}}
	return kind{name: "size", schema: schema, read: func(v any) error {
		n, err := parseSize(v)
		if err == nil && (n < least || n > maxSize) {
			err = fmt.Errorf("want a size from %s to %s", formatSize(least), formatSize(maxSize))
		}
		if err == nil {
			*p = T(n)
		}
		return err
	}}
}

// rate is so many in a time.
func rate(p *source.Rate) kind {
	schema := object{"type": "string", "pattern": `^[1-9][0-9]*/([0-9]*\.?[0-9]*(h|m|s|ms))+$`}
	return kind{name: "rate", schema: schema, read: func(v any) error {
		s, _ := v.(string)
		n, per, ok := strings.Cut(s, "/")
		count, err := strconv.Atoi(n)
		if per != "" && (per[0] < '0' || per[0] > '9') {
			per = "1" + per
		}
		d, derr := ParseDuration(per)
		if !ok || err != nil || derr != nil || count < 1 || count > 1_000_000 || d < time.Millisecond {
			return errors.New(`want a rate like "100/s" or "10/5m"`)
		}
		*p = source.Rate{Count: count, Per: d}
		return nil
	}}
}

// octal is a mode as chmod writes it: a string, because TOML's 0600 would not be a number.
func octal[T ~int | ~uint32](p *T) kind {
	return kind{name: "octal mode", schema: object{"type": "string", "pattern": "^0?[0-7]{3}$"}, read: func(v any) error {
		s, _ := v.(string)
		n, err := strconv.ParseUint(s, 8, 9)
		if err != nil || len(s) < 3 || len(s) > 4 {
			return errors.New(`want an octal mode as a string, like "0600"`)
		}
		*p = T(n)
		return nil
	}}
}

// choice is one of some words. The reserved ones are known, but not supported yet.
func choice[T ~string](p *T, words []T, reserved ...T) kind {
	return kind{name: list(words), schema: object{"enum": words}, read: func(v any) error {
		s, ok := v.(string)
		if !ok {
			return fmt.Errorf("want one of %s", list(words))
		}
		if err := oneOf(T(s), words, reserved); err != nil {
			return err
		}
		*p = T(s)
		return nil
	}}
}

// oneOf reports why word is none of words.
func oneOf[T ~string](word T, words, reserved []T) error {
	switch {
	case slices.Contains(words, word):
		return nil
	case slices.Contains(reserved, word):
		return fmt.Errorf("%q is %s", word, laterName)
	}
	return fmt.Errorf("%q is not one of %s%s", word, list(words), suggest(string(word), plain(words)))
}

// level is a choice of words that slog has numbers for.
func level(p *slog.Level) kind {
	var word string
	return choice(&word, []string{"debug", "info", "warn", "error"}).then(func() error { return p.UnmarshalText([]byte(word)) })
}

// plain is words as strings.
func plain[T ~string](words []T) []string {
	s := make([]string, len(words))
	for i, w := range words {
		s[i] = string(w)
	}
	return s
}

// list is words for people to read.
func list[T ~string](words []T) string { return strings.Join(plain(words), ", ") }
