package executor

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/internal/timing"
)

// TestLevelNeverLowers_R188 compares what threads are by themselves with what they are at a level.
func TestLevelNeverLowers_R188(t *testing.T) {
	const ms = uint64(time.Millisecond)
	other := func(nice int32, slice uint64) sys.SchedAttr { return sys.SchedAttr{Nice: nice, Runtime: slice} }
	reset := func(a sys.SchedAttr) sys.SchedAttr { a.Flags = sys.SCHED_FLAG_RESET_ON_FORK; return a }
	rr := func(priority uint32, nice int32) sys.SchedAttr {
		return sys.SchedAttr{Policy: sys.SCHED_RR, Priority: priority, Nice: nice}
	}
	fifo, batch, idle := sys.SchedAttr{Policy: sys.SCHED_FIFO, Priority: 10}, sys.SchedAttr{Policy: sys.SCHED_BATCH}, sys.SchedAttr{Policy: 5}
	deadline := sys.SchedAttr{Policy: sys.SCHED_DEADLINE, Runtime: ms, Deadline: 5 * ms, Period: 5 * ms}
	nice, slice, realtime := Level{Nice: new(-5)}, Level{Slice: time.Millisecond}, Level{Realtime: 10}
	for i, c := range []struct {
		level      Level
		base, want sys.SchedAttr
	}{
		{nice, other(0, 0), reset(other(-5, 0))},
		{nice, other(7, 3*ms), reset(other(-5, 3*ms))},
		{nice, other(-5, 0), other(-5, 0)},
		{nice, other(-10, 0), other(-10, 0)},
		{nice, batch, reset(sys.SchedAttr{Policy: sys.SCHED_BATCH, Nice: -5})},
		{nice, idle, idle},
		{nice, fifo, fifo},
		{nice, deadline, deadline},
		{slice, other(0, 0), other(0, ms)},
		{slice, other(3, 2*ms), other(3, ms)},
		{slice, other(0, ms/2), other(0, ms/2)},
		{slice, rr(1, 0), rr(1, 0)},
		{Level{Nice: new(-5), Slice: time.Millisecond}, other(0, 0), reset(other(-5, ms))},
		{realtime, other(7, ms), reset(rr(10, 7))},
		{realtime, idle, reset(rr(10, 0))},
		{realtime, rr(9, 0), reset(rr(10, 0))},
		{realtime, rr(10, 0), rr(10, 0)},
		{realtime, fifo, fifo},
		{realtime, deadline, deadline},
	} {
		if got := c.level.over(c.base); got != c.want {
			t.Errorf("%d: %+v over %+v is %+v, want %+v", i, c.level, c.base, got, c.want)
		}
	}
}

func TestLevelHoldsUpToTheNext(t *testing.T) {
	b := Boost{{From: 5}, {From: 20, Realtime: 3}, {From: 21, Realtime: 2}}
	for priority, want := range map[aem.Priority]int{0: 0, 4: 0, 5: 1, 19: 1, 20: 2, 21: 3, 31: 3} {
		if got := b.at(priority); got != want {
			t.Errorf("priority %d is at level %d, want %d", priority, got, want)
		}
	}
	if got := b.Realtime(); got != 3 {
		t.Errorf("the highest real-time priority is %d", got)
	}
}

// TestThreadIsRaisedByItsEvent_R084 looks from inside a thread at each of its events, and at what it costs.
func TestThreadIsRaisedByItsEvent_R084(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	booster, err := OpenBooster(Boost{{From: 15, Nice: new(-5)}, {From: 22, Realtime: 10}})
	if err != nil {
		t.Fatal(err)
	}
	seen, tid := "", 0
	w := &Workplace{Booster: booster, Alarms: new(timing.Alarms), Functions: map[string]Function{
		"f": func(context.Context, *aem.Event) error { seen, tid = threadStat(), sys.Gettid(); return nil },
	}}
	d, p := openFunction(t, w, Spec{Agent: Thread, Call: "f", Scheduling: Scheduling{Nice: new(2)}})
	for _, c := range []struct {
		priority aem.Priority
		want     string // nice value, real-time priority, class
		calls    uint64
	}{{25, "2 10 2", 3}, {25, "2 10 2", 0}, {16, "-5 0 0", 3}, {16, "-5 0 0", 0}, {10, "2 0 0", 3}, {10, "2 0 0", 0}, {20, "-5 0 0", 3}} {
		before := booster.Calls
		a := activation("")
		a.Priority = c.priority
		if got := d.outcome(p, a); got.Outcome != aem.Done {
			t.Fatalf("%v %s", got.Outcome, got.Err)
		}
		if seen != c.want {
			t.Errorf("priority %d: scheduled as %s, want %s", c.priority, seen, c.want)
		}
		calls := c.calls // is it ours still, how is it, set it
		if calls > 0 && tid == os.Getpid() {
			calls-- // the main thread is, for as long as we are
		}
		if got := booster.Calls - before; got != calls {
			t.Errorf("priority %d: %d system calls, want %d", c.priority, got, calls)
		}
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		w.Alarms.Run(timing.Now())
		own, err := sys.Scheduling(tid)
		if err == nil && own.Nice == 2 && own.Flags == 0 && own.Policy == sys.SCHED_OTHER {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("with nothing to do: %+v, %v", own, err)
		}
	}
}
