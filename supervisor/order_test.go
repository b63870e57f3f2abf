package supervisor

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/source"
)

// said is what handlers wrote, line by line, in the order it was logged.
func (r *run) said() []string {
	var lines []string
	for _, m := range regexp.MustCompile(`msg="([^"]*)" app=a handler=h stream=stdout`).FindAllStringSubmatch(r.logs.String(), -1) {
		lines = append(lines, m[1])
	}
	return lines
}

func (r *run) publishAll(topic string, n int) {
	r.t.Helper()
	r.ask(func() {
		for i := range n {
			if _, _, err := r.publish(topic, fmt.Append(nil, i)); err != nil {
				r.t.Error(err)
			}
		}
	})
}

func TestEventsInFlightKeepTheirOrder_R201(t *testing.T) {
	h := role(t, "window")
	h.Life, h.Size = executor.Resident, 1
	r := startRun(t, nil, topicApp(h))
	const events = 200
	r.publishAll("a/t", events)
	r.until("a/t", "done", func(c aem.Counts) bool { return c.Done == events })
	r.stop()
	said := r.said()
	if len(said) != events {
		t.Fatalf("%d lines", len(said))
	}
	for i, line := range said {
		if want := fmt.Sprintf("%d 1", i); line != want {
			t.Fatalf("line %d is %q, want %q", i, line, want)
		}
	}
}

// TestPoisonHitsNobodyElse has a handler that dies of one of the events it has in flight: those behind it were
// never begun, and count no attempt.
func TestPoisonHitsNobodyElse(t *testing.T) {
	h := role(t, "poison")
	h.Life, h.Size, h.Retries = executor.Resident, 1, 2
	r := startRun(t, nil, topicApp(h))
	r.ask(func() {
		for i := range 20 {
			data := fmt.Sprint(i)
			if i == 5 {
				data = "poison"
			}
			r.publish("a/t", []byte(data))
		}
	})
	c := r.until("a/t", "ended", func(c aem.Counts) bool { return c.Done+c.Failed == 20 })
	if c.Failed != 1 {
		t.Errorf("%d failed, want the poison alone", c.Failed)
	}
	r.stop()
	for _, line := range r.said() {
		if !strings.HasSuffix(line, " 1") {
			t.Errorf("an event came again: %q", line)
		}
	}
}

// TestPriorityIsStrictOverAllApps_R037_R066_R199 has many events wait for one agent each, and looks at the order in
// which they begin.
func TestPriorityIsStrictOverAllApps_R037_R066_R199(t *testing.T) {
	var apps []App
	for _, name := range []string{"a", "b"} {
		h := builtin("h", "log", map[string]any{"message": "{app} {event} {topic}"})
		a := testApp(name, []executor.Spec{h})
		for priority := range 4 {
			e := event(fmt.Sprintf("p%d", priority), source.Topic{Name: fmt.Sprintf("%s/p%d", name, priority)}, "h")
			e.Priority = aem.Priority(priority)
			a.Events = append(a.Events, e)
		}
		apps = append(apps, a)
	}
	r := startRun(t, nil, apps...)
	r.ask(func() {
		for i := range 40 { // all of it in one step of the loop: nothing runs in between
			r.publish(fmt.Sprintf("%s/p%d", []string{"a", "b"}[i%2], i*7%4), nil)
		}
	})
	for _, app := range []string{"a", "b"} {
		for p := range 4 {
			name := fmt.Sprintf("%s/p%d", app, p)
			r.until(name, "done", func(c aem.Counts) bool { return c.Waiting+c.Running == 0 })
		}
	}
	r.stop()
	last := 4
	lines := regexp.MustCompile(`msg="[ab] p(\d)`).FindAllStringSubmatch(r.logs.String(), -1)
	if len(lines) != 40 {
		t.Fatalf("%d events began", len(lines))
	}
	for _, m := range lines {
		p := int(m[1][0] - '0')
		if p > last {
			t.Fatalf("priority %d began after %d", p, last)
		}
		last = p
	}
}

func TestActivationsAtTheirLimitHoldAndRelease_R101(t *testing.T) {
	h := role(t, "slow")
	h.Life, h.Size = executor.Resident, 1
	a := topicApp(h)
	tick := event("tick", source.Timer{Every: time.Millisecond}, "h")
	a.Events = append(a.Events, tick)
	a.Limits.Activations = 4
	r := startRun(t, nil, a)
	seen := false
	c := r.until("a/tick", "done", func(c aem.Counts) bool {
		r.ask(func() {
			j := r.jobNamed("a/tick")
			seen = seen || j.state() == aem.Held
			if n := r.apps[0].gauges.activations.Used; n > 4 {
				t.Errorf("%d activations at once", n)
			}
		})
		return c.Done >= 100
	})
	if !seen {
		t.Error("the timer was never held")
	}
	if c.Failed+c.Shed+c.Expired != 0 {
		t.Errorf("events were lost: %+v", c)
	}
}

func TestOnceEndsItsJob_R027(t *testing.T) {
	tick := event("tick", source.Timer{Every: time.Millisecond}, "h")
	tick.Once = true
	r := startRun(t, nil, testApp("a", []executor.Spec{builtin("h", "log", nil)}, tick))
	r.until("a/tick", "done", func(c aem.Counts) bool { return c.Done == 1 })
	time.Sleep(20 * time.Millisecond)
	if c := r.counts("a/tick"); c.Detected != 1 {
		t.Errorf("detected %d", c.Detected)
	}
	var state aem.State
	r.ask(func() { state = r.jobNamed("a/tick").state() })
	if state != aem.Ended {
		t.Errorf("state %v", state)
	}
}

func TestRemovedJobsBooksStayInTheApps_R078(t *testing.T) {
	h := role(t, "slow")
	h.Concurrency = 1
	r := startRun(t, nil, topicApp(h))
	r.publishAll("a/t", 10)
	r.until("a/t", "running", func(c aem.Counts) bool { return c.Running == 1 })
	var books aem.Counts
	r.ask(func() { r.remove(r.jobNamed("a/t").id) })
	for deadline := time.Now().Add(patience); ; {
		r.ask(func() { books = r.apps[0].removed })
		if !books.Balanced() {
			t.Fatalf("books do not balance: %+v", books)
		}
		if books.Running == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("it still runs: %+v", books)
		}
		time.Sleep(time.Millisecond)
	}
	if books.Detected != 10 || books.Done == 0 || books.Shed == 0 || len(r.dead.match(func(*letter) bool { return true })) != 0 {
		t.Errorf("books %+v", books)
	}
}
