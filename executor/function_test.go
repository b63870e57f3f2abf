package executor

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
)

// openFunction makes the pool of a handler that runs inside the supervisor; its agents end with the test.
func openFunction(t *testing.T, w *Workplace, spec Spec) (*desk, *Pool) {
	t.Helper()
	d := newDesk(t)
	w.App, w.Loop = "app", d
	if w.Log == nil {
		w.Log = new(logBook).logger()
	}
	spec.Name, spec.Concurrency = "h", max(1, spec.Concurrency)
	p, err := w.Open(spec, 100)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Stop()
		d.until(p, "ended", p.Ended)
	})
	return d, p
}

// outcome runs one activation to its end.
func (d *desk) outcome(p *Pool, a *aem.Activation) aem.Completion {
	d.t.Helper()
	n := len(d.completed)
	if !p.Push(a) {
		d.t.Fatal("the queue is full")
	}
	d.until(p, "completed", func() bool { return len(d.completed) > n })
	return d.completed[n].Completion
}

// bothAgents runs a test for callbacks and for threads.
func bothAgents(t *testing.T, f func(t *testing.T, agent AgentKind)) {
	for _, agent := range []AgentKind{Callback, Thread} {
		t.Run(string(agent), func(t *testing.T) { f(t, agent) })
	}
}

func TestFunctionsErrorIsTheFate_R086_R202(t *testing.T) {
	cause := errors.New("cause")
	bothAgents(t, func(t *testing.T, agent AgentKind) {
		var answer error
		w := &Workplace{Functions: map[string]Function{"f": func(context.Context, *aem.Event) error { return answer }}}
		d, p := openFunction(t, w, Spec{Agent: agent, Call: "f"})
		for _, c := range []struct {
			err     error
			outcome aem.Outcome
			delay   time.Duration
		}{
			{nil, aem.Done, 0},
			{cause, aem.Retry, 0},
			{aem.Fail(cause), aem.Failed, 0},
			{fmt.Errorf("wrapped: %w", aem.After(time.Minute, cause)), aem.Retry, time.Minute},
		} {
			answer = c.err
			a := activation("")
			got := d.outcome(p, a)
			if got.Outcome != c.outcome || got.Delay != c.delay || got.Exit != -1 || (got.Err != "") != (c.err != nil) {
				t.Errorf("%v: %+v", c.err, got)
			}
			if a.Attempt != 1 || a.Started == 0 || got.After < 0 {
				t.Errorf("attempt %d, started %d, after %v", a.Attempt, a.Started, got.After)
			}
		}
		if p.Running() != 0 || !p.Empty() {
			t.Errorf("%d run, empty %t", p.Running(), p.Empty())
		}
	})
}

// TestPanicFailsTheAttemptAlone: it is tried again, and the report has where it came from.
func TestPanicFailsTheAttemptAlone(t *testing.T) {
	bothAgents(t, func(t *testing.T, agent AgentKind) {
		panics := true
		w := &Workplace{Functions: map[string]Function{"f": func(context.Context, *aem.Event) error {
			if panics {
				panicInside()
			}
			return nil
		}}}
		d, p := openFunction(t, w, Spec{Agent: agent, Call: "f"})
		got := d.outcome(p, activation(""))
		if got.Outcome != aem.Retry || got.Reason != aem.ReasonHandler ||
			!strings.HasPrefix(got.Err, "panic: no such order") || !strings.Contains(got.Err, "panicInside") {
			t.Errorf("%v %s %q", got.Outcome, got.Reason, got.Err)
		}
		panics = false
		if got := d.outcome(p, activation("")); got.Outcome != aem.Done {
			t.Errorf("the next: %v %q", got.Outcome, got.Err)
		}
	})
}

func panicInside() { panic("no such order") }

func TestFunctionSeesItsEventAndItsDeadline(t *testing.T) {
	bothAgents(t, func(t *testing.T, agent AgentKind) {
		var seen aem.Event
		var left time.Duration
		var limited bool
		w := &Workplace{Functions: map[string]Function{"f": func(ctx context.Context, e *aem.Event) error {
			deadline, ok := ctx.Deadline()
			seen, left, limited = *e, time.Until(deadline), ok
			return nil
		}}}
		a := activation("data", aem.Fact{Name: "topic", Value: "a/t"})
		d, p := openFunction(t, w, Spec{Agent: agent, Call: "f", Timeout: time.Hour})
		d.outcome(p, a)
		seen.Answer = nil
		if !reflect.DeepEqual(seen, *a.Event) || !limited || left > time.Hour || left < 59*time.Minute {
			t.Errorf("event %+v of %+v, limited %t, %v left", seen, a.Event, limited, left)
		}
		d, p = openFunction(t, w, Spec{Agent: agent, Call: "f"})
		if d.outcome(p, a); limited {
			t.Errorf("without a timeout %v are left", left)
		}
	})
}

// TestCallbacksDoNotOverlap_R106 has a callback that makes more to run for its own handler.
func TestCallbacksDoNotOverlap_R106(t *testing.T) {
	depth, order := 0, []string{}
	var p *Pool
	w := &Workplace{Functions: map[string]Function{"f": func(_ context.Context, e *aem.Event) error {
		depth++
		defer func() { depth-- }()
		order = append(order, string(e.Data))
		if depth != 1 {
			t.Errorf("%d handlers run at once", depth)
		}
		if len(order) < 3 {
			p.Push(activation(fmt.Sprint("made by ", string(e.Data))))
		}
		return nil
	}}}
	d, pool := openFunction(t, w, Spec{Agent: Callback, Call: "f"})
	p = pool
	p.Push(activation("1"))
	p.Push(activation("2"))
	d.run(p)
	if want := "[1 2 made by 1 made by 2]"; fmt.Sprint(order) != want {
		t.Errorf("order %v, want %s", order, want)
	}
}

func TestSlowCallbackIsReported(t *testing.T) {
	book := new(logBook)
	wait := time.Duration(0)
	w := &Workplace{Log: book.logger(), Functions: map[string]Function{"f": func(context.Context, *aem.Event) error {
		time.Sleep(wait)
		return nil
	}}}
	d, p := openFunction(t, w, Spec{Agent: Callback, Call: "f"})
	wait = slowCallback + time.Millisecond
	d.outcome(p, activation(""))
	records := book.records(t)
	if len(records) != 1 || records[0]["handler"] != "h" || records[0]["level"] != "WARN" || records[0]["took"].(float64) < float64(wait) {
		t.Errorf("reported %v", records)
	}
}

func TestStoppedFunctionRunsNothingMore(t *testing.T) {
	bothAgents(t, func(t *testing.T, agent AgentKind) {
		w := &Workplace{Functions: map[string]Function{"f": func(context.Context, *aem.Event) error { return nil }}}
		d, p := openFunction(t, w, Spec{Agent: agent, Call: "f"})
		d.outcome(p, activation(""))
		p.Stop()
		p.Push(activation(""))
		if _, ok := p.Head(); ok || p.Waiting() != 1 {
			t.Errorf("a stopped pool would run the next: %t, %d wait", ok, p.Waiting())
		}
		d.until(p, "ended", p.Ended)
		p.Kill()
	})
}
