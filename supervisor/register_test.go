package supervisor

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/source"
)

// within runs a supervisor whose callback h is f.
func within(t *testing.T, f executor.Function, change func(*App)) *run {
	t.Helper()
	h, functions := function(executor.Callback, f)
	a := testApp("a", []executor.Spec{h, builtin("log", "log", nil)})
	if change != nil {
		change(&a)
	}
	return startRun(t, functions, a)
}

func (r *run) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// totals adds up the books of jobs.
func (r *run) totals(ids []aem.JobID) (sum aem.Counts) {
	r.t.Helper()
	r.ask(func() {
		for _, id := range ids {
			c := r.jobs.counts(r.jobs.get(id))
			if !c.Balanced() {
				r.t.Errorf("%v: books do not balance: %+v", id, c)
			}
			sum.Detected, sum.Done = sum.Detected+c.Detected, sum.Done+c.Done
		}
	})
	return sum
}

func (r *run) untilDone(ids []aem.JobID, n uint64) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); r.totals(ids).Done < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("done %+v, want %d", r.totals(ids), n)
		}
	}
}

// TestRegisterTheSameThreeTimes_R058_R059: each registration has its own id, and each is told of every arrival.
func TestRegisterTheSameThreeTimes_R058_R059_R060(t *testing.T) {
	r := within(t, func(context.Context, *aem.Event) error { return nil }, nil)
	e := event("news", source.Topic{Name: "a/t"}, "h", "log")
	ids, err := r.Register("a", e, e.Source, e.Source, e.Source)
	r.must(err)
	if len(ids) != 6 || len(slices.Compact(slices.Sorted(slices.Values(ids)))) != 6 {
		t.Fatalf("ids %v", ids)
	}
	r.ask(func() { r.publish("a/t", nil) }) // reaches nobody: they are born stopped
	r.must(r.Start(ids...))
	r.ask(func() { r.publish("a/t", nil) })
	r.untilDone(ids, 6)
	r.must(r.Stop(ids[0]))
	r.must(r.Remove(ids[1]))
	r.ask(func() { r.publish("a/t", nil) })
	rest := append([]aem.JobID{ids[0]}, ids[2:]...)
	r.untilDone(rest, 9)
	if err := r.Start(ids[1]); err == nil || !strings.Contains(err.Error(), "1 jobs are not there") {
		t.Errorf("a removed job was started: %v", err)
	}
}

// TestThreadsDoNotGrowWithJobs_R033: 100,000 timers are registered and fall due, and there are as many threads as before, but
// for some that Go's runtime makes for itself.
func TestThreadsDoNotGrowWithJobs_R033(t *testing.T) {
	const spare = 16
	r := within(t, func(context.Context, *aem.Event) error { return nil }, func(a *App) { a.Limits.Jobs = 200_000 })
	e := event("many", source.Timer{After: time.Millisecond}, "h")
	one, err := r.Register("a", e)
	r.must(err)
	r.must(r.Start(one...))
	r.untilDone(one, 1) // so that whatever one timer needs is there
	before := threads(t)
	ids, err := r.Register("a", e, slices.Repeat([]source.Spec{e.Source}, aemtest.Few(100_000))...)
	r.must(err)
	r.must(r.Start(ids...))
	r.untilDone(ids, uint64(len(ids)))
	if after := threads(t); after > before+spare {
		t.Errorf("%d threads, %d before %d timers", after, before, len(ids))
	}
}

// threads is how many this process has.
func threads(t *testing.T) int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(tasks)
}

func TestRegisterRefuses_R080_R100(t *testing.T) {
	r := within(t, func(context.Context, *aem.Event) error { return nil }, func(a *App) { a.Limits.Jobs = 3 })
	timer := event("t", source.Timer{After: time.Hour}, "h")
	ids, err := r.Register("a", timer)
	r.must(err)
	other := timer
	other.Once = true
	for name, c := range map[string]struct {
		app   string
		e     Registration
		specs []source.Spec
		want  string
	}{
		"app":        {"b", timer, nil, "no such app"},
		"name":       {"a", event("T", timer.Source, "h"), nil, `name "T"`},
		"handler":    {"a", event("u", timer.Source, "g"), nil, `no handler "g"`},
		"spec":       {"a", event("u", source.Timer{}, "h"), nil, "exactly one of"},
		"two types":  {"a", timer, []source.Spec{source.Topic{Name: "a/t"}}, "one type"},
		"rules":      {"a", other, nil, "other handlers or rules"},
		"handlers":   {"a", event("t", timer.Source, "h", "log"), nil, "other handlers or rules"},
		"limit":      {"a", timer, []source.Spec{timer.Source, timer.Source, timer.Source}, "limit: jobs = 3"},
		"no source":  {"a", event("u", nil, "h"), nil, "one type"},
		"wrong zone": {"a", event("u", source.Timer{Cron: "* * * * *", Zone: "No/Where"}, "h"), nil, "No/Where"},
	} {
		if _, err := r.Register(c.app, c.e, c.specs...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	r.must(r.Remove(ids...))
	ids, err = r.Register("a", other, other.Source, other.Source, other.Source) // nothing is left of the event that was
	r.must(err)
	r.must(r.Remove(ids...))
	r.ask(func() {
		if n := r.jobs.count(); n != 0 {
			t.Errorf("%d jobs are left", n)
		}
	})
}

// TestManyJobsAtALimitLoseNothing_R101 has far more timers due at once than the app may have activations: each is held
// until there is room for it, and the loop does not look at all of them each time.
func TestManyJobsAtALimitLoseNothing_R101(t *testing.T) {
	seen := map[string]int{}
	r := within(t, func(_ context.Context, e *aem.Event) error {
		cookie, _ := e.Fact("cookie")
		seen[cookie]++
		return nil
	}, func(a *App) { a.Limits.Jobs, a.Limits.Activations = 20_000, 8 })
	specs := make([]source.Spec, 20_000)
	for i := range specs {
		specs[i] = source.Timer{After: time.Millisecond, Cookie: uint64(i + 1)}
	}
	ids, err := r.Register("a", event("t", source.Timer{After: time.Hour}, "h"), specs...)
	r.must(err)
	r.must(r.Start(ids...))
	r.untilDone(ids, uint64(len(ids)))
	r.ask(func() {
		for cookie, n := range seen {
			if n != 1 {
				t.Errorf("timer %s ran %d times", cookie, n)
			}
		}
		if len(seen) != len(specs) || len(r.late) != 0 || r.apps[0].late != nil {
			t.Errorf("%d ran, %d apps have jobs that wait for room", len(seen), len(r.late))
		}
	})
}

// TestTimersWithoutAnAgentWait: while no process can be made, a timer is held and counts what falls due.
func TestTimersWithoutAnAgentWait(t *testing.T) {
	h := shell("exit 127")
	h.Restart = executor.Backoff{First: 20 * time.Millisecond, Factor: 1, Max: 20 * time.Millisecond}
	h.Concurrency = 1
	r := startRun(t, nil, testApp("a", []executor.Spec{h}, event("t", source.Timer{Every: time.Millisecond}, "h")))
	var failing bool
	for deadline := time.Now().Add(patience); !failing; time.Sleep(time.Millisecond) {
		r.ask(func() {
			j := r.jobNamed("a/t")
			failing = r.state(j, r.jobs.registration(j)) == aem.Failing && j.holds&holdAgents != 0
		})
		if time.Now().After(deadline) {
			t.Fatal("the timer was never held for want of an agent")
		}
	}
	c := r.counts("a/t")
	time.Sleep(10 * time.Millisecond)
	if after := r.counts("a/t"); after.Detected > c.Detected+40 || after.Failed != 0 {
		t.Errorf("it went on while nobody could run it: %+v, then %+v", c, after)
	}
}

// TestCalendarRunsOutliveARestart_R222: the next run knows what the last one saw.
func TestCalendarRunsOutliveARestart_R222(t *testing.T) {
	state := t.TempDir()
	zone := func(o *Options) { o.StateDir = state }
	tick := event("tick", source.Timer{Cron: "* * * * *", Zone: "UTC", Missed: source.OneMissed}, "h")
	gone := event("gone", source.Timer{Cron: "* * * * *", Zone: "UTC", Missed: source.OneMissed}, "h")
	app := testApp("a", []executor.Spec{builtin("h", "log", nil)}, tick, gone)
	began := time.Now()
	startRun(t, zone, app).stop()

	app.Events = app.Events[:1]
	r := startRun(t, zone, app)
	var last time.Time
	r.ask(func() { last, _ = r.lastRuns.Last(r.jobNamed("a/tick").id) })
	if last.Before(began.Add(-time.Second)) || last.After(time.Now()) {
		t.Errorf("it last looked at %v, and the run began at %v", last, began)
	}
	r.lastRuns.mu.Lock()
	kept := len(r.lastRuns.last)
	r.lastRuns.last["a/tick:h"], r.lastRuns.dirty = began.Add(-10*time.Minute), true
	r.lastRuns.mu.Unlock()
	if kept != 1 {
		t.Errorf("%d jobs are kept, one of which there is not any more", kept)
	}
	r.stop()

	r = startRun(t, zone, app)
	c := r.until("a/tick", "made up for", func(c aem.Counts) bool { return c.Done > 0 })
	if c.Detected < 10 || c.Detected > 12 {
		t.Errorf("ten minutes were missed: %+v", c)
	}
}
