package aem

import (
	"encoding/json"
	"testing"
)

func TestCountsBalance(t *testing.T) {
	for _, c := range []struct {
		name   string
		counts Counts
		want   bool
	}{
		{"nothing", Counts{}, true},
		{"one in each place", Counts{6, 1, 1, 1, 1, 1, 1}, true},
		{"done", Counts{Detected: 1, Done: 1}, true},
		{"failed", Counts{Detected: 1, Failed: 1}, true},
		{"expired", Counts{Detected: 1, Expired: 1}, true},
		{"shed", Counts{Detected: 1, Shed: 1}, true},
		{"waiting", Counts{Detected: 1, Waiting: 1}, true},
		{"running", Counts{Detected: 1, Running: 1}, true},
		{"lost", Counts{Detected: 1}, false},
		{"in two places", Counts{Detected: 1, Running: 1, Done: 1}, false},
		{"out of nowhere", Counts{Done: 1}, false},
	} {
		if got := c.counts.Balanced(); got != c.want {
			t.Errorf("%s: %+v balanced %t", c.name, c.counts, got)
		}
	}
}

func TestStatesAreNamed(t *testing.T) {
	for state, name := range map[State]string{Stopped: "stopped", Armed: "armed", Held: "held", Failing: "failing", Ended: "ended"} {
		text, err := json.Marshal(state)
		if want := `"` + name + `"`; string(text) != want || err != nil {
			t.Errorf("%s: printed as %s, %v", name, text, err)
		}
		var got State
		if err := json.Unmarshal(text, &got); got != state || err != nil {
			t.Errorf("%s: read back as %v, %v", name, got, err)
		}
	}
	var s State
	if err := json.Unmarshal([]byte(`"asleep"`), &s); err == nil {
		t.Errorf("a state that there is not was read as %v", s)
	}
}

func TestOutcomesAreNamed(t *testing.T) {
	for outcome, name := range map[Outcome]string{
		Done: "done", Failed: "failed", Expired: "expired", Shed: "shed", Retry: "retry", Returned: "returned",
	} {
		if outcome.String() != name {
			t.Errorf("%s is printed as %s", name, outcome)
		}
	}
}

func TestEventFact(t *testing.T) {
	e := Event{Facts: []Fact{{Name: "path", Value: "/a"}, {Name: "empty"}, NumberFact("pid", 7)}}
	for _, c := range []struct {
		name, value string
		ok          bool
	}{{"path", "/a", true}, {"empty", "", true}, {"pid", "7", true}, {"peer", "", false}, {"", "", false}} {
		if value, ok := e.Fact(c.name); value != c.value || ok != c.ok {
			t.Errorf("fact %q is %q, %t", c.name, value, ok)
		}
	}
}
