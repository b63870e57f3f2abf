package filter

import (
	"strings"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
)

var facts = map[string]aem.FactKind{"peer": aem.FactText, "pid": aem.FactNumber, "scheduled": aem.FactTime, "first": aem.FactText}

func event(data string) *aem.Event {
	e := &aem.Event{Type: "x", Time: time.Unix(1000, 0), Count: 3, Data: []byte(data), FD: -1}
	e.Add(aem.Fact{Name: "peer", Value: "10.0.0.7:99"})
	e.Add(aem.NumberFact("pid", 42))
	e.Add(aem.TimeFact("scheduled", time.Unix(999, 0).UnixNano()))
	e.Add(aem.Fact{Name: "first", Value: "a"})
	return e
}

func TestMatch_R075(t *testing.T) {
	const object = `{"user": "root", "n": 7, "deep": {"list": [1, 2]}, "ok": true}`
	for _, c := range []struct {
		text, data string
		want       bool
	}{
		{"size > 0", "x", true}, {"size > 0", "", false}, {"size == len(text)", "äö", false},
		{`peer startsWith "10." && pid in [41, 42]`, "", true}, {`pid in 1..5`, "", false},
		{`peer matches "^10\\..*:99$"`, "", true}, {`first == "a" or pid == 0`, "", true},
		{"count >= 3 and scheduled < time", "", true}, {`time - scheduled == duration("1s")`, "", true},
		{`data.user == "root"`, object, true}, {`data.user == "root"`, "no JSON", false}, {`data.user == "root"`, "[1]", false},
		{"data.n > 5", object, true}, {"data.ok", object, true}, {"data.deep.list[1] == 2", object, true},
		{`data?.deep?.none == nil`, object, true}, {`text contains "oo"`, object, true}, {`upper(peer) != ""`, "", true},
	} {
		f, err := Compile(c.text, facts)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		for range 2 { // what is kept from one judgement to the next must not matter
			if got, err := f.Match(event(c.data)); err != nil || got != c.want {
				t.Errorf("%s of %q: %t, %v", c.text, c.data, got, err)
			}
		}
	}
}

func TestCompileRefuses_R075(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       "unexpected token EOF",
		"siez > 0":                               "unknown name siez",
		`size > "0"`:                             "mismatched types int and string",
		"size":                                   "expected bool, but got int",
		"peer":                                   "expected bool, but got string",
		"size >":                                 "unexpected token EOF",
		"all(1..1000, # > 0)":                    "",
		"let a = 1..10; any(a, # == 1)":          "",
		"toJSON(data) == text":                   "",
		strings.Repeat("!", 5000) + "true":       "longer than",
		"true" + strings.Repeat(" && true", 300): "exceeds maximum",
	} {
		if _, err := Compile(text, facts); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
}

func TestMatchThatCannotBe_R075(t *testing.T) {
	for text, data := range map[string]string{
		"data.n > 5":                `{"n": "x"}`,
		"data.deep.list[1] == 2":    `{}`,
		"data.ok":                   `{"ok": 1}`,
		`text matches data.pattern`: `{"pattern": "("}`,
		`len(string(1..9000)) + len(string(1..9000)) > 0`: "",
	} {
		f, err := Compile(text, facts)
		if err != nil {
			continue // refused already
		}
		if got, err := f.Match(event(data)); err == nil || got || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s of %s: %t, %v", text, data, got, err)
		}
	}
	f, err := Compile(`data.n == 1`, facts)
	if err != nil {
		t.Fatal(err)
	}
	long := `{"n": 1, "x": "` + strings.Repeat("x", maxDataBytes) + `"}`
	if got, err := f.Match(event(long)); got || err != nil {
		t.Errorf("fields of long data: %t, %v", got, err)
	}
}

func TestMatchAllocatesLittle_R075(t *testing.T) {
	e := event("x")
	for text, most := range map[string]float64{"size > 0": 1, `peer startsWith "10." && pid == 42`: 2} {
		f, err := Compile(text, facts)
		if err != nil {
			t.Fatal(err)
		}
		if allocs := testing.AllocsPerRun(100, func() { f.Match(e) }); allocs > most {
			t.Errorf("%s: %v allocations", text, allocs)
		}
	}
}

func FuzzMatch(f *testing.F) {
	f.Add(`data.user == "root"`, `{"user": "root"}`)
	f.Add(`text matches "^a+$"`, "aaa")
	f.Fuzz(func(_ *testing.T, text, data string) {
		if c, err := Compile(text, facts); err == nil {
			c.Match(event(data))
		}
	})
}
