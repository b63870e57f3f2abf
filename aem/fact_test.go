package aem

import (
	"math"
	"testing"
	"time"
)

func TestFactText(t *testing.T) {
	at := time.Date(2026, 12, 24, 18, 0, 0, 5, time.Local)
	for _, c := range []struct {
		fact Fact
		want string
	}{
		{Fact{Name: "path", Value: "/a"}, "/a"},
		{NumberFact("pid", -7), "-7"},
		{TimeFact("scheduled", at.UnixNano()), at.Format(time.RFC3339Nano)},
	} {
		if got := c.fact.Text(); got != c.want || string(c.fact.AppendText(nil)) != c.want {
			t.Errorf("%s %v is %q, want %q", c.fact.Kind, c.fact, got, c.want)
		}
	}
	for _, n := range []int64{math.MinInt64, math.MaxInt64} {
		for _, f := range []Fact{NumberFact("", n), TimeFact("", n)} {
			if text := f.Text(); len(text) > MaxNumberText {
				t.Errorf("%s is longer than %d bytes", text, MaxNumberText)
			}
		}
	}
}

func TestFactsOfAnEventCostNoAllocation(t *testing.T) {
	e := new(Event)
	allocs := testing.AllocsPerRun(100, func() {
		e.Facts = nil
		for range ownFacts {
			e.Add(NumberFact("pid", 1))
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
	if e.Add(NumberFact("last", 2)); len(e.Facts) != ownFacts+1 || e.Facts[ownFacts].Number != 2 {
		t.Errorf("facts %v", e.Facts)
	}
}
