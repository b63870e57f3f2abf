package supervisor

import (
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/source"
)

// TestWaitsAreCountedByPriority_R082 has events of two priorities wait for one agent that is busy for a while: each
// begins after those before it, the low ones last.
func TestWaitsAreCountedByPriority_R082(t *testing.T) {
	const busy = 20 * time.Millisecond
	h := role(t, "slow") // for as long
	h.Life, h.Size, h.Concurrency = executor.Resident, 1, 1
	a := testApp("a", []executor.Spec{h}, event("low", source.Topic{Name: "a/low"}, "h"), event("high", source.Topic{Name: "a/high"}, "h"))
	a.Events[1].Priority = 12
	r := startRun(t, nil, a, testApp("b", []executor.Spec{builtin("h", "log", nil)}))
	r.ask(func() {
		for range 3 {
			r.publish("a/low", nil)
			r.publish("a/high", nil)
		}
	})
	r.until("a/low", "done", func(c aem.Counts) bool { return c.Done == 3 })
	u := r.usageOf(control.Peer{}, "a")[0]
	if len(u.Waits) != 2 || u.Waits[0].Priority != 12 || u.Waits[1].Priority != 10 {
		t.Fatalf("waits %+v", u.Waits)
	}
	high, low := u.Waits[0], u.Waits[1]
	if high.Count != 3 || high.P50 < busy || high.Longest < 2*busy || high.P99 > high.Longest {
		t.Errorf("the high ones waited %+v", high)
	}
	if low.Count != 3 || low.P50 < 4*busy || low.Longest < 5*busy {
		t.Errorf("the low ones waited %+v", low)
	}
	if other := r.usageOf(control.Peer{}, "b")[0]; other.Waits == nil || len(other.Waits) != 0 {
		t.Errorf("another app's waits are %+v", other.Waits)
	}
}

// TestRetriesAreNotWaits: an attempt that is made again waits for its backoff, which is nobody's latency.
func TestRetriesAreNotWaits(t *testing.T) {
	h := role(t, "third")
	h.Life, h.Size = executor.Resident, 1
	r := startRun(t, nil, topicApp(h))
	r.publishAll("a/t", 2)
	r.until("a/t", "done", func(c aem.Counts) bool { return c.Done == 2 })
	if u := r.usageOf(control.Peer{}, "a")[0]; len(u.Waits) != 1 || u.Waits[0].Count != 2 {
		t.Errorf("waits %+v", u.Waits)
	}
}
