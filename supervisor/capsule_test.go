package supervisor

import (
	"strconv"
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
	for deadline := time.Now().Add(patience); !strings.Contains(r.logs.String(), text); time.Sleep(time.Millisecond) {
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

// TestEventThatFindsNoCapsuleGetsTheNextOneReady has an event come while a capsule is on its way: it waits for that one,
// and not for a process that would be made after it.
func TestEventThatFindsNoCapsuleGetsTheNextOneReady(t *testing.T) {
	h := role(t, "late")
	h.Life, h.Size, h.Concurrency = executor.Capsule, 1, 8
	r := startRun(t, nil, topicApp(h))
	time.Sleep(2 * lateBy)
	r.emit("a/t", "") // takes the one that there is: from now on the next is on its way
	time.Sleep(lateBy / 2)
	came := time.Now()
	fate := r.emit("a/t", "")
	started, err := strconv.ParseInt(string(fate.Reply), 10, 64)
	if err != nil || started >= came.UnixNano() {
		t.Errorf("reply %q: the process was started after the event at %d", fate.Reply, came.UnixNano())
	}
}

// TestCapsulesAreRefilledFromHalf uses capsules of a bank of four, and counts who is there.
func TestCapsulesAreRefilledFromHalf(t *testing.T) {
	h := role(t, "done")
	h.Life, h.Size = executor.Capsule, 4
	r := startRun(t, nil, topicApp(h))
	settled := func(want int) {
		t.Helper()
		for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			there := -1
			if r.ask(func() { there = len(r.orphans.own) }); there == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d capsules are there, want %d", there, want)
			}
		}
	}
	settled(4)
	r.emit("a/t", "")
	time.Sleep(100 * time.Millisecond) // in which a refill would be done
	settled(3)
	r.emit("a/t", "")
	settled(4)
	r.emit("a/t", "")
	settled(3)
	settled(4) // in the lull
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
	for _, c := range []struct {
		role, want   string
		readyTimeout time.Duration
	}{
		{"garbage", "reason=channel: read message", time.Minute}, // it must be heard before its time is over
		{"mute", "reason=hello: it said no hello", aemtest.Slow(50 * time.Millisecond)},
	} {
		t.Run(c.role, func(t *testing.T) {
			h := role(t, c.role)
			h.Life, h.Size, h.ReadyTimeout = executor.Resident, 1, c.readyTimeout
			h.Restart = executor.Backoff{First: time.Minute, Factor: 1, Max: time.Minute}
			r := startRun(t, nil, topicApp(h))
			r.logged("handler h was ended: ")
			r.logged(c.want)
			made := 0
			r.ask(func() { made = len(r.orphans.own) })
			if made != 0 {
				t.Error("another was made at once")
			}
		})
	}
}
