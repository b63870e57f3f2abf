package supervisor

import (
	"strings"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/limits"
	"github.com/aem-exec/aem-exec/source"
)

// TestKernelsLimitIsToldOnceAndEnds brings an app to limits that the kernel enforces, beside an app that must not notice.
func TestKernelsLimitIsToldOnceAndEnds_R008_R103(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	hog, bomb := role(t, "hog"), role(t, "bomb")
	hog.Retries, bomb.Retries = 0, 0
	for _, c := range []struct {
		limit, value, errno string
		handler             executor.Spec // none: one that is busy until it has been told
		set                 func(*limits.Limits)
	}{
		{"memory", "67108864", "ENOMEM", hog, func(l *limits.Limits) { l.Memory = 64 << 20 }},
		{"pids", "32", "EAGAIN", bomb, func(l *limits.Limits) { l.PIDs = 32 }},
		{"cpu", "0.2", "", executor.Spec{}, func(l *limits.Limits) { l.CPU = 0.2 }},
	} {
		t.Run(c.limit, func(t *testing.T) {
			var n told
			watch, functions := n.watcher("a", "supervisor.limit")
			h, enough := c.handler, func() {}
			if h.Exec == nil {
				h, enough = gatedBy(t, ":")
			}
			a := topicApp(h)
			c.set(&a.Limits)
			good := testApp("good", []executor.Spec{shell("exit 0")}, event("t", source.Topic{Name: "good/t"}, "h"))
			r := startRun(t, functions, watch, a, good)
			r.publishAll("a/t", 1)
			said := n.await(t, 1)
			if !strings.HasPrefix(said[0], "supervisor.limit subject=a limit="+c.limit+" value="+c.value+" used="+c.value+" reached=") ||
				!strings.HasSuffix(said[0], " errno="+c.errno+" count=1") {
				t.Errorf("told %q", said[0])
			}
			began := time.Now()
			if fate := r.emit("good/t", ""); fate.Outcome != "done" || time.Since(began) > aemtest.Slow(5*time.Second) {
				t.Errorf("the other app: %v after %v", fate, time.Since(began))
			}
			enough()
			r.until("a/t", "ended", func(c aem.Counts) bool { return c.Waiting+c.Running == 0 })
			r.relaxed("a", c.limit)
			n.await(t, 1) // that it is over is not told
		})
	}
}

// relaxed waits until an app is not at a limit any more.
func (r *run) relaxed(app, limit string) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		var g *gauge
		over := false
		r.ask(func() {
			for _, a := range r.apps {
				if a.spec.Name == app {
					g = a.gauge(limit)
					over = g.Since.IsZero() && g.Reached > 0
				}
			}
		})
		if over {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%s of %s is still reached: %+v", limit, app, g)
		}
	}
}

// TestHandlerOfALimitsEventMakesNone has the handler of the event run into the limit that it is told of.
func TestHandlerOfALimitsEventMakesNone(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	for _, c := range []struct {
		limit, role string
		set         func(*limits.Limits)
	}{
		{"memory", "hog", func(l *limits.Limits) { l.Memory = 64 << 20 }},
		{"pids", "bomb", func(l *limits.Limits) { l.PIDs = 32 }},
	} {
		t.Run(c.limit, func(t *testing.T) {
			var n told
			watch, functions := n.watcher("a", "supervisor.limit")
			h := role(t, c.role)
			h.Retries = 0
			a := topicApp(h)
			a.Events = append(a.Events, event("of", source.Notice{Kind: "supervisor.limit", Apps: []string{"a"}}, "h"))
			c.set(&a.Limits)
			r := startRun(t, functions, watch, a)
			r.publishAll("a/t", 1)
			r.until("a/of", "failed", func(c aem.Counts) bool { return c.Failed == 1 })
			n.await(t, 1)
			r.ask(func() {
				a := r.apps[1]
				if g := a.gauge(c.limit); g.Reached < 2 || g.again || a.kernel.notices != 0 {
					t.Errorf("reached %d times, to be told again: %t, %d handlers of events run", g.Reached, g.again, a.kernel.notices)
				}
			})
		})
	}
}

// TestOOMThatIsCountedLateIsTold has nothing tell of an OOM kill but a signal that comes before it.
func TestOOMThatIsCountedLateIsTold(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	var n told
	watch, functions := n.watcher("a", "supervisor.limit")
	h := shell("sleep 0.1; head -c 1G /dev/zero | tail")
	h.Retries = 0
	a := topicApp(h)
	a.Limits.Memory = 64 << 20
	r := startRun(t, functions, watch, a)
	r.ask(func() {
		a := r.apps[1]
		for _, w := range a.kernel.watches {
			r.poller.Remove(w)
		}
		r.signalled(a, owedLooks)
	})
	r.publishAll("a/t", 1)
	if said := n.await(t, 1); !strings.HasPrefix(said[0], "supervisor.limit subject=a limit=memory value=67108864 ") {
		t.Errorf("told %q", said)
	}
}

// TestNoRoomForAProcessIsALimit has an app whose processes leave no room for another one: on cgroup v1 it would only be
// found out when it forks.
func TestNoRoomForAProcessIsALimit(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	var n told
	watch, functions := n.watcher("a", "supervisor.limit")
	h, open := gated(t)
	a := topicApp(h)
	a.Limits.PIDs = 2 // the shell and its sleep
	r := startRun(t, functions, watch, a)
	r.publishAll("a/t", 3)
	if said := n.await(t, 1); !strings.HasPrefix(said[0], "supervisor.limit subject=a limit=pids value=2 ") {
		t.Errorf("told %q", said)
	}
	open()
	r.until("a/t", "done", func(c aem.Counts) bool { return c.Done == 3 })
	r.relaxed("a", "pids")
}
