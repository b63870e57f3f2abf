package supervisor

import (
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/limits"
	"github.com/aem-exec/aem-exec/source"
)

// usageOf asks for what apps use.
func (r *run) usageOf(peer control.Peer, apps ...string) []control.Usage {
	r.t.Helper()
	reply := r.answer(r.t.Context(), peer, control.Request{Op: control.OpUsage, Apps: apps})
	if err := reply.Err(); err != nil {
		r.t.Fatal(err)
	}
	list, err := control.ResultOf[[]control.Usage](reply)
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}

// limit is one row of an app's usage.
func limit(t *testing.T, u control.Usage, name string) control.LimitUsage {
	t.Helper()
	for _, l := range u.Limits {
		if l.Limit == name {
			return l
		}
	}
	t.Fatalf("%s is not there: %+v", name, u.Limits)
	return control.LimitUsage{}
}

func TestUsageOfAnAppAtItsLimit_R100_R101_R103(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	h, open := gated(t)
	a := topicApp(h)
	a.Events = append(a.Events, event("tick", source.Timer{Every: time.Millisecond}, "h"))
	a.Events[1].Priority, a.Events[1].Start = 12, false
	a.Limits.Jobs, a.Limits.Activations, a.Limits.Processes, a.Limits.Memory, a.Limits.PIDs, a.Limits.CPU = 5, 3, 2, 64<<20, 30, 0.5
	a.Limits.ActivationsOf, a.Limits.Types = []limits.Of{{What: "timer", Most: 9}}, []string{"topic", "timer"}
	r := startRun(t, nil, a, testApp("b", []executor.Spec{shell("exit 0")}))
	r.publishAll("a/t", 3)
	r.until("a/t", "running", func(c aem.Counts) bool { return c.Running == 2 })
	u := r.usageOf(control.Peer{}, "a")[0]
	for deadline := time.Now().Add(patience); *limit(t, u, "pids").Used < 2 && time.Now().Before(deadline); { // they begin
		u = r.usageOf(control.Peer{}, "a")[0]
	}
	for name, want := range map[string]struct {
		value      any
		used, peak int64
		reached    uint64
	}{
		"jobs": {5.0, 2, 2, 0}, "activations": {3.0, 3, 3, 1}, "activations_of.timer": {9.0, 0, 0, 0}, "processes": {2.0, 2, 2, 1},
	} {
		l := limit(t, u, name)
		if l.Value != want.value || *l.Used != want.used || *l.Peak != want.peak || *l.Reached != want.reached || (l.Since != nil) != (want.reached > 0) || (l.Last != nil) != (l.Since != nil) {
			t.Errorf("%s: %+v, used %d, peak %d, reached %d", name, l, *l.Used, *l.Peak, *l.Reached)
		}
	}
	if l := limit(t, u, "priority_max"); l.Value != 15.0 || *l.Used != 12 || l.Reached != nil {
		t.Errorf("priority_max: %+v", l)
	}
	for name, value := range map[string]any{"memory": float64(64 << 20), "pids": 30.0} {
		if l := limit(t, u, name); l.Value != value || l.Used == nil || *l.Used < 2 || *l.Peak < *l.Used || *l.Reached != 0 {
			t.Errorf("%s: %+v", name, l)
		}
	}
	if l := limit(t, u, "cpu"); l.Value != 0.5 || l.Used != nil || l.Reached == nil {
		t.Errorf("cpu: %+v", l)
	}
	for _, name := range []string{"memory_bytes", "pids", "cpu_usec", "throttled", "oom_kills"} {
		if _, ok := u.Cgroup[name]; !ok {
			t.Errorf("%s is not in %v", name, u.Cgroup)
		}
	}
	if len(u.Held) != 1 || u.Held[0].Job != "a/t" || u.Held[0].Reason != "limit" || time.Since(u.Held[0].Since) > time.Minute {
		t.Errorf("held: %+v", u.Held)
	}

	open()
	r.until("a/t", "done", func(c aem.Counts) bool { return c.Done == 3 })
	r.relaxed("a", "processes")
	u = r.usageOf(control.Peer{}, "a")[0]
	if l := limit(t, u, "activations"); *l.Used != 0 || *l.Peak != 3 || *l.Reached != 1 || l.Since != nil || l.Last == nil || len(u.Held) != 0 {
		t.Errorf("activations: %+v, held %v", l, u.Held)
	}
}

func TestUsageIsOfWhatThePeerMayTouch(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	a := topicApp(shell("exit 0"))
	b := testApp("b", []executor.Spec{shell("exit 0")}, event("t", source.Topic{Name: "b/t"}, "h"))
	b.User = "nobody"
	b.Handlers[0].Dir = "/"
	r := startRun(t, nil, a, b)
	root, nobody := control.Peer{}, control.Peer{UID: 65534}
	for _, c := range []struct {
		peer control.Peer
		apps []string
		want int
	}{{root, nil, 2}, {root, []string{"*"}, 2}, {root, []string{"b", "b"}, 1}, {nobody, nil, 1}, {nobody, []string{"b"}, 1}} {
		if list := r.usageOf(c.peer, c.apps...); len(list) != c.want {
			t.Errorf("%+v %v: %d apps", c.peer, c.apps, len(list))
		}
	}
	for _, c := range []struct {
		peer control.Peer
		app  string
	}{{root, "c"}, {root, "c*"}, {nobody, "a"}} {
		if reply := r.answer(t.Context(), c.peer, control.Request{Op: control.OpUsage, Apps: []string{"b", c.app}}); reply.Errno != syscall.ENOENT {
			t.Errorf("%s: %v %s", c.app, reply.Errno, reply.Error)
		}
	}
}
