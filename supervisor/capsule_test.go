package supervisor

import (
	"strings"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// logged waits until the log has a text.
func (r *run) logged(text string) {
	r.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(r.logs.String(), text); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("the log has no %q", text)
		}
	}
}

// TestBurstBeyondTheCapsulesRunsColdAndIsTold has more events at once than there are capsules.
func TestBurstBeyondTheCapsulesRunsColdAndIsTold(t *testing.T) {
	h := role(t, "slow")
	h.Life, h.Size, h.Concurrency = executor.Capsule, 1, 8
	r := startRun(t, nil, topicApp(h))
	r.publishAll("a/t", 8)
	r.until("a/t", "done", func(c aem.Counts) bool { return c.Done == 8 })
	r.logged("no capsule was ready")
}

func TestMemoryTooSmallForItsCapsulesIsTold(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	h := role(t, "done")
	h.Life, h.Size = executor.Capsule, 16
	a := topicApp(h)
	a.Limits.Memory = 8 << 20
	r := startRun(t, nil, a)
	r.logged("memory is too small for size = 16")
}

// TestIdleLiarIsToldAndNotMadeAgainAtOnce has handlers that are at fault before they have an event: each is told of, and
// the next one waits.
func TestIdleLiarIsToldAndNotMadeAgainAtOnce(t *testing.T) {
	for name, want := range map[string]string{"garbage": "reason=channel: read message", "mute": "reason=hello: it said no hello"} {
		t.Run(name, func(t *testing.T) {
			h := role(t, name)
			h.Life, h.Size, h.ReadyTimeout = executor.Resident, 1, 50*time.Millisecond
			h.Restart = executor.Backoff{First: time.Minute, Factor: 1, Max: time.Minute}
			r := startRun(t, nil, topicApp(h))
			r.logged("handler h was ended: ")
			r.logged(want)
			made := 0
			r.ask(func() { made = len(r.orphans.own) })
			if made != 0 {
				t.Error("another was made at once")
			}
		})
	}
}
