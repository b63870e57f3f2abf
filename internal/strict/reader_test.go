package strict

import (
	"errors"
	"fmt"
	"testing"
)

// read reads a text as an object with a key of each kind.
func read(text string) (err error) {
	var (
		s    string
		n    uint64
		b    bool
		o    *string
		list []string
		many = map[string]string{}
	)
	r := NewReader([]byte(text))
	err = r.Document(Object(map[string]Value{
		"text": Text(&s), "number": Integer(&n), "switch": Boolean(&b), "maybe": Optional(&o, Text[string]),
		"list": List(&list, Text[string]),
		"map": Map(func(key string) (Value, bool) {
			return func(r *Reader, path string) error {
				var value string
				err := Text(&value)(r, path)
				many[key] = value
				return err
			}, key != "no"
		}),
	}))
	var m *Mistake
	if errors.As(err, &m) {
		line, column := r.Place(m)
		return fmt.Errorf("%d:%d: %v", line, column, m)
	}
	return err
}

func TestMistakesHaveTheirPlaces(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`{"text": "a", "number": 1, "switch": true, "maybe": "b", "list": ["c"], "map": {"x": "y"}}`, ""},
		{`null`, ""},
		{`{"list": null, "map": null}`, ""},
		{"{\n\"text\": 1}", "2:9: text: want a string, not 1"},
		{`{"number": -1}`, "1:12: number: want a whole number from 0 to 2^64-1, not -1"},
		{`{"number": 1.5}`, "1:12: number: want a whole number from 0 to 2^64-1, not 1.5"},
		{`{"switch": 0}`, "1:12: switch: want true or false, not 0"},
		{`{"list": ["a", {}]}`, "1:16: list[1]: want a string, not an object"},
		{`{"map": {"x": "y", "x": "z"}}`, "1:20: map.x: given twice"},
		{`{"map": {"no": "y"}}`, "1:10: map.no: unknown key"},
		{`{"txet": 1}`, "1:2: txet: unknown key"},
		{`{"text": "a"`, "1:13: the text ends here"},
		{`{"text": "a"} "b"`, "1:15: text after the end"},
		{`{"text" "a"}`, "1:9: text: invalid character '\"' after object key"},
	} {
		got := ""
		if err := read(c.text); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.text, got, c.want)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(`{"text": "a", "list": ["c"], "map": {"x": "y"}}`)
	f.Add("{\"number\":\n1}")
	f.Fuzz(func(_ *testing.T, text string) { _ = read(text) })
}
