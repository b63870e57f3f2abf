package supervisor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/source"
)

// evctl asks for an operation on one job as root.
func (r *run) evctl(job string, req control.Request) control.Reply {
	r.t.Helper()
	sel, err := control.ParseSelector(job)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Selectors = []control.Selector{sel}
	if err := req.Check(); err != nil {
		r.t.Fatal(err)
	}
	return r.answer(context.Background(), control.Peer{}, req)
}

// twoTopics is an app with one handler for the topics low and high.
func twoTopics(h executor.Spec) App {
	return testApp("a", []executor.Spec{h},
		event("low", source.Topic{Name: "a/low"}, "h"), event("high", source.Topic{Name: "a/high"}, "h"))
}

// TestPriorityIsChangedForWhatWaits_R069 has events of two jobs wait in the order of their activation, and makes one
// job more urgent: its events come first, in their order, and go back to their places when it is less urgent again.
func TestPriorityIsChangedForWhatWaits_R069(t *testing.T) {
	h := role(t, "window")
	h.Life, h.Size, h.Concurrency = executor.Resident, 1, 1
	r := startRun(t, nil, twoTopics(h))
	level := func(job string, p aem.Priority) {
		t.Helper()
		if reply := r.evctl(job, control.Request{Op: control.OpPriority, Priority: &p}); reply.Err() != nil {
			t.Fatal(reply.Err())
		}
	}
	var order []string
	r.ask(func() {
		for i := range 6 {
			r.publish([]string{"a/low", "a/high"}[i%2], fmt.Append(nil, i))
		}
	})
	r.ask(func() {})
	level("a/high", 15)
	level("a/high", 10)
	level("a/high", 12)
	r.until("a/low", "done", func(c aem.Counts) bool { return c.Done == 3 })
	r.stop()
	for _, line := range r.said() {
		order = append(order, strings.Fields(line)[0])
	}
	// The first may have been with the handler before the change.
	if want := []string{"0", "1", "3", "5", "2", "4"}; !slices.Equal(order, want) && !slices.Equal(order, []string{"1", "3", "5", "0", "2", "4"}) {
		t.Errorf("the order was %v, want %v", order, want)
	}
}

func TestPriorityAboveTheCeilingIsRefused_R080(t *testing.T) {
	r := startRun(t, nil, twoTopics(role(t, "done")))
	p := aem.Priority(16)
	reply := r.evctl("a/*", control.Request{Op: control.OpPriority, Priority: &p})
	if reply.Errno != syscall.EPERM || !strings.Contains(reply.Error, "limits.priority_max") {
		t.Errorf("answer %v %q", reply.Errno, reply.Error)
	}
}

// TestTimeoutIsChanged_R077 gives a handler without a timeout one while the supervisor runs, and takes it away again.
func TestTimeoutIsChanged_R077(t *testing.T) {
	h := role(t, "hang")
	h.Retries = 0
	r := startRun(t, nil, topicApp(h))
	d := 50 * time.Millisecond
	r.evctl("a/t", control.Request{Op: control.OpTimeout, Timeout: &d})
	if fate := r.emit("a/t", ""); fate.Reason != aem.ReasonTimeout {
		t.Errorf("it ended with %s, reason %s", fate.Outcome, fate.Reason)
	}
	d = 0
	r.evctl("a/t", control.Request{Op: control.OpTimeout, Timeout: &d})
	r.publishAll("a/t", 1)
	time.Sleep(200 * time.Millisecond)
	if c := r.counts("a/t"); c.Running != 1 || c.Failed != 1 {
		t.Errorf("books %+v: want the second one to run", c)
	}
}

// TestCleanShedsWhatWaits_R078 cleans a job that has one event running, some waiting and one between two attempts.
func TestCleanShedsWhatWaits_R078(t *testing.T) {
	h := role(t, "hang")
	h.Life, h.Size, h.Concurrency = executor.Resident, 1, 1
	r := startRun(t, nil, topicApp(h))
	r.publishAll("a/t", 10)
	r.until("a/t", "running", func(c aem.Counts) bool { return c.Running == 1 })
	touched, err := control.ResultOf[[]control.Touched](r.evctl("a/t", control.Request{Op: control.OpClean}))
	if err != nil || len(touched) != 1 || touched[0].Shed != 9 {
		t.Errorf("cleaned %+v, %v", touched, err)
	}
	if c := r.counts("a/t"); c.Shed != 9 || c.Running != 1 || c.Waiting != 0 || !c.Balanced() {
		t.Errorf("books %+v", c)
	}
	if fate := r.counts("a/t"); fate.Failed != 0 {
		t.Error("what was cleaned is a dead letter")
	}
}

// TestWatchFollowsEvents has a watcher see each step of an event that is tried twice, and of no other app's.
func TestWatchFollowsEvents(t *testing.T) {
	h := role(t, "third")
	b := topicApp(role(t, "done"))
	b.Name, b.Events[0].Source = "b", source.Topic{Name: "b/t"}
	r := startRun(t, nil, topicApp(h), b)
	watch := func(since uint64) control.Watched {
		t.Helper()
		w, err := control.ResultOf[control.Watched](r.evctl("a/*", control.Request{Op: control.OpWatch, Since: since}))
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	steps := make(chan []string)
	go func() {
		var seen []string
		for w := watch(0); ; w = watch(w.Next) {
			for _, h := range w.Happenings {
				seen = append(seen, fmt.Sprint(h.Job, " ", h.What, " ", h.Attempt))
				if h.What == "done" {
					steps <- seen
					return
				}
			}
		}
	}()
	for on := false; !on; time.Sleep(time.Millisecond) {
		r.ask(func() { on = r.chronicle.on })
	}
	r.emit("b/t", "")
	r.emit("a/t", "")
	want := []string{"a/t detected 0", "a/t started 1", "a/t retry 1", "a/t started 2", "a/t retry 2", "a/t started 3", "a/t done 3"}
	if got := <-steps; !slices.Equal(got, want) {
		t.Errorf("saw %q, want %q", got, want)
	}
}

func TestWatcherThatIsLateIsToldWhatItLost(t *testing.T) {
	r := startRun(t, nil, topicApp(role(t, "done")))
	r.ask(func() {
		r.watched(control.Peer{}, &control.Request{Op: control.OpWatch}, true)
		reg := r.jobs.registration(r.jobs.get(r.apps[0].eager[0]))
		for range happeningsKept + 5 {
			r.note("detected", r.apps[0].eager[0], reg, &aem.Event{ID: 1}, nil, nil)
		}
	})
	reply := r.answer(context.Background(), control.Peer{}, control.Request{Op: control.OpWatch, Since: 1})
	w, err := control.ResultOf[control.Watched](reply)
	if err != nil || w.Lost != 5 || len(w.Happenings) != happeningsMost {
		t.Errorf("%d lost, %d told, %v", w.Lost, len(w.Happenings), err)
	}
}
