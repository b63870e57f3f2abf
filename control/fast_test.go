package control

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
)

// TestIDsAreTheJSONThatTheyWereWithout: what is written by hand is what encoding/json writes, and is read as that reads it.
func TestIDsAreTheJSONThatTheyWereWithout(t *testing.T) {
	one, two := Selector{ID: aem.NewJobID(12, 7)}, Selector{ID: aem.NewJobID(1<<32-1, 1<<32-1)}
	for _, c := range []struct {
		r    Request
		fast bool
	}{
		{Request{Op: OpStart, Selectors: []Selector{one}}, true},
		{Request{Op: OpStart, Selectors: []Selector{one, two, one}}, true},
		{Request{Op: OpRemove, Selectors: []Selector{two}, Quiet: true}, true},
		{Request{Op: OpStart, Selectors: []Selector{{App: "a", Event: "b"}}}, false},
		{Request{Op: OpStart, Selectors: []Selector{one, {App: "a", Event: "b"}}}, false},
		{Request{Op: OpStart, All: true}, false},
		{Request{Op: OpTimeout, Selectors: []Selector{one}, Timeout: new(time.Duration(0))}, false},
	} {
		want, err := json.Marshal(c.r)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := c.r.idsOf()
		if ok != c.fast || ok && string(got) != string(want) {
			t.Errorf("%v: %s, want %s", ok, got, want)
		}
		back := Request{Op: c.r.Op}
		if ok := back.readIDs(want); ok != c.fast || ok && !reflect.DeepEqual(back, c.r) {
			t.Errorf("%s is read as %+v, %v", want, back, ok)
		}
	}
}

// FuzzIDs: what is read by hand is what encoding/json reads.
func FuzzIDs(f *testing.F) {
	for _, text := range []string{`{"selectors":["12:7","1:1"],"quiet":true}`, `{"selectors":["12:7"]}`, `{"selectors":["12:7",]}`, `{"selectors":["+1:01"]}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, args []byte) {
		var fast, slow Request
		if !fast.readIDs(args) {
			return
		}
		if err := json.Unmarshal(args, &slow); err != nil || !reflect.DeepEqual(fast, slow) {
			t.Fatalf("%s is read as %+v, and is %+v, %v", args, fast, slow, err)
		}
	})
}
