package supervisor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/limits"
	"github.com/aem-exec/aem-exec/source"
)

// gated is a handler that ends when the flag is there.
func gated(t *testing.T) (h executor.Spec, open func()) { t.Helper(); return gatedBy(t, "sleep 0.01") }

// gatedBy is one that passes the time with a command.
func gatedBy(t *testing.T, pause string) (h executor.Spec, open func()) {
	t.Helper()
	flag := filepath.Join(t.TempDir(), "go")
	return shell("until [ -e " + flag + " ]; do " + pause + "; done"), func() {
		if err := os.WriteFile(flag, nil, 0o644); err != nil {
			t.Error(err)
		}
	}
}

// TestCountedLimitIsToldOnceAndEnds_R008_R101 brings an app to each of the limits that are counted, beside an app that
// must not notice.
func TestCountedLimitIsToldOnceAndEnds_R008_R101(t *testing.T) {
	for name, c := range map[string]struct {
		limit func(*limits.Limits)
		fit   int // events that are taken
		value string
	}{
		"activations":           {func(l *limits.Limits) { l.Activations = 3 }, 3, "3"},
		"queue_bytes":           {func(l *limits.Limits) { l.QueueBytes = 4000 }, 4, "4000"},
		`activations_of."top*"`: {func(l *limits.Limits) { l.ActivationsOf = []limits.Of{{What: "top*", Most: 2}} }, 2, "2"},
		`activations_of.process`: {func(l *limits.Limits) {
			l.ActivationsOf = []limits.Of{{What: "timer", Most: 1}, {What: "process", Most: 2}}
		}, 2, "2"},
	} {
		t.Run(name, func(t *testing.T) {
			var n told
			watch, functions := n.watcher("a", "supervisor.limit")
			h, open := gated(t)
			a := topicApp(h)
			a.Events = append(a.Events, event("of", source.Notice{Kind: "supervisor.limit", Apps: []string{"a"}}, "note"))
			a.Handlers = append(a.Handlers, builtin("note", "log", nil))
			c.limit(&a.Limits)
			r := startRun(t, functions, watch, a, testApp("good", []executor.Spec{shell("exit 0")}, event("t", source.Topic{Name: "good/t"}, "h")))
			for i := range c.fit {
				r.publish1("a/t", 1000-256, 0, i)
			}
			for range 3 {
				r.publish1("a/t", 1000-256, syscall.EAGAIN, c.fit)
			}
			said := n.await(t, 1)
			if want := fmt.Sprintf("supervisor.limit subject=a limit=%s value=%s used=", name, c.value); !strings.HasPrefix(said[0], want) || !strings.HasSuffix(said[0], " reached=1 errno=EAGAIN count=1") {
				t.Errorf("told %q, want %q", said[0], want)
			}
			if fate := r.emit("good/t", ""); fate.Outcome != "done" {
				t.Errorf("the other app: %v", fate)
			}
			open()
			r.until("a/t", "done", func(c aem.Counts) bool { return c.Waiting+c.Running == 0 })
			r.publish1("a/t", 0, 0, 0)
			r.until("a/of", "told", func(c aem.Counts) bool { return c.Done == 1 }) // when there was room
		})
	}
}

// publish1 publishes an event and checks what the publisher is told.
func (r *run) publish1(topic string, size int, want syscall.Errno, i int) {
	r.t.Helper()
	var err error
	r.ask(func() { _, _, err = r.publish(topic, make([]byte, size)) })
	if (err == nil) != (want == 0) || err != nil && !errors.Is(err, want) {
		r.t.Errorf("publication %d: %v, want %v", i, err, want)
	}
}

// TestLimitReachedOftenIsToldAtMostOnceInAWhile has the limit come and go.
func TestLimitReachedOftenIsToldAtMostOnceInAWhile(t *testing.T) {
	var n told
	watch, functions := n.watcher("a", "supervisor.limit")
	a := testApp("a", []executor.Spec{shell("exit 0")}, event("tick", source.Timer{Every: time.Millisecond}, "h"))
	a.Limits.Activations = 1
	r := startRun(t, functions, watch, a)
	r.until("a/tick", "done", func(c aem.Counts) bool { return c.Done >= 50 })
	n.await(t, 1)
	r.ask(func() {
		g := &r.apps[1].gauges.activations
		if g.Reached < 3 || !g.again || !g.quiet.Set() {
			t.Errorf("reached %d times, to be told again: %v", g.Reached, g.again)
		}
		g.quiet.Stop() // as if the time were over
		r.alarms.After(&g.quiet, 0, func() { r.tellLimit(r.apps[1], g) })
	})
	n.await(t, 2)
}

// TestEventsOfLimitsMakeNoneOfThemselves has the event of another app's limit reach the limit of its own.
func TestEventsOfLimitsMakeNoneOfThemselves(t *testing.T) {
	var n told
	watch, functions := n.watcher("*", "supervisor.limit")
	watch.Limits.Activations = 1
	h, open := gated(t)
	defer open()
	a := topicApp(h)
	a.Limits.Activations = 1
	r := startRun(t, functions, watch, a)
	r.publish1("a/t", 0, 0, 0)
	n.await(t, 1)
	r.ask(func() {
		if g := &r.apps[0].gauges.activations; g.Reached != 1 || g.Used != 0 || !g.Since.IsZero() {
			t.Errorf("%+v", g)
		}
	})
}

func TestJobsBeyondTheirLimitAreRefused_R100_R102(t *testing.T) {
	for _, c := range []struct {
		limit func(*limits.Limits)
		want  string
	}{
		{func(l *limits.Limits) { l.Jobs = 2 }, ""},
		{func(l *limits.Limits) { l.Jobs = 1 }, "app a is at its limit: jobs = 1"},
		{func(l *limits.Limits) { l.JobsOf = []limits.Of{{What: "topic", Most: 1}, {What: "*", Most: 2}} }, ""},
		{func(l *limits.Limits) { l.JobsOf = []limits.Of{{What: "t*", Most: 1}} }, `app a is at its limit: jobs_of."t*" = 1`},
		{func(l *limits.Limits) { l.JobsOf = []limits.Of{{What: "callback", Most: 1}} }, "app a is at its limit: jobs_of.callback = 1"},
		{func(l *limits.Limits) { l.JobsOf = []limits.Of{{What: "socket.*", Most: 1}} }, ""},
	} {
		a := testApp("a", []executor.Spec{builtin("h", "log", nil)},
			event("t", source.Topic{Name: "a/t"}, "h"), event("tick", source.Timer{Every: time.Hour}, "h"))
		c.limit(&a.Limits)
		s, err := New(Options{Apps: []App{a}})
		if s != nil {
			s.close()
		}
		if got := fmt.Sprint(err); c.want == "" && err != nil || c.want != "" && got != "app.a.event.tick: "+c.want {
			t.Errorf("%v, want %q", err, c.want)
		}
		if c.want != "" && !errors.Is(err, syscall.EDQUOT) {
			t.Errorf("%v is not EDQUOT", err)
		}
	}
}

// TestRefusalsAtALimitSayWhich looks at what clients are told.
func TestRefusalsAtALimitSayWhich_R080(t *testing.T) {
	h, open := gated(t)
	defer open()
	a := topicApp(h)
	a.Limits.ActivationsOf = []limits.Of{{What: "process", Most: 1}}
	r := startRun(t, nil, a)
	r.publish1("a/t", 0, 0, 0)
	sel, err := control.ParseSelectors([]string{"a/t"})
	if err != nil {
		t.Fatal(err)
	}
	for _, req := range []control.Request{{Op: control.OpFire, Selectors: sel}, {Op: control.OpEmit, Topic: "a/t"}} {
		reply := r.answer(t.Context(), control.Peer{}, req)
		if reply.Errno != syscall.EAGAIN || !strings.Contains(reply.Error, "app a is at its limit: activations_of.process = 1") {
			t.Errorf("%v: %v %s", req.Op, reply.Errno, reply.Error)
		}
	}
}

// TestJobsRefusedAtRunTimeAreTold has a program register more jobs than its app may have.
func TestJobsRefusedAtRunTimeAreTold_R100(t *testing.T) {
	var n told
	watch, functions := n.watcher("a", "supervisor.limit")
	a := topicApp(shell("exit 0"))
	a.Limits.JobsOf = []limits.Of{{What: "timer", Most: 3}}
	r := startRun(t, functions, watch, a)
	more := event("more", source.Timer{Every: time.Hour}, "h")
	ids, err := r.Register("a", more, more.Source, more.Source)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := r.Register("a", more, more.Source, more.Source); !errors.Is(err, syscall.EDQUOT) || !strings.Contains(err.Error(), "app a is at its limit: jobs_of.timer = 3") {
			t.Errorf("refused with %v", err)
		}
	}
	if said := n.await(t, 1); said[0] != "supervisor.limit subject=a limit=jobs_of.timer value=3 used=2 reached=1 errno=EDQUOT count=1" {
		t.Errorf("told %q", said)
	}
	if err := r.Remove(ids[0]); err != nil {
		t.Fatal(err)
	}
	r.relaxed("a", "jobs_of.timer")
	if _, err := r.Register("a", more, more.Source, more.Source); err != nil {
		t.Error(err)
	}
}
