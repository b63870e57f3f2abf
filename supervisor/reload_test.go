package supervisor

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/source"
)

// reload has the supervisor run with other apps, all else as it is.
func (r *run) reload(apps ...App) (string, error) {
	r.t.Helper()
	o := r.options
	o.Apps = apps
	changes, err := r.Reload(o)
	var steps []string
	for _, c := range changes {
		steps = append(steps, fmt.Sprint(c.Change, " ", c.What, " ", c.Name))
	}
	return strings.Join(steps, ", "), err
}

func (r *run) mustReload(want string, apps ...App) {
	r.t.Helper()
	if got, err := r.reload(apps...); err != nil || got != want {
		r.t.Fatalf("reload: %q, %v; want %q", got, err, want)
	}
}

// ids are the jobs' ids by name.
func (r *run) ids() map[string]aem.JobID {
	ids := map[string]aem.JobID{}
	r.ask(func() {
		for id := range r.jobs.all() {
			ids[r.jobs.registration(r.jobs.get(id)).name()] = id
		}
	})
	return ids
}

// TestReloadLeavesTheRestAlone_R126_R168 changes one job's source, one job's rules and takes one away, and adds an app: a job
// that is as it was keeps its id, its counts, what runs, what waits and what evctl has changed of it.
func TestReloadLeavesTheRestAlone_R126_R168(t *testing.T) {
	hang := role(t, "hang")
	hang.Life, hang.Size, hang.Concurrency = executor.Resident, 1, 1
	log := builtin("log", "log", nil)
	apps := func() App {
		return testApp("a", []executor.Spec{hang, log}, event("same", source.Topic{Name: "a/same"}, "h"),
			event("other", source.Topic{Name: "a/other"}, "log"), event("ruled", source.Topic{Name: "a/ruled"}, "log"),
			event("gone", source.Topic{Name: "a/gone"}, "log"))
	}
	r := startRun(t, nil, apps())
	r.publishAll("a/same", 5)
	r.until("a/same", "running", func(c aem.Counts) bool { return c.Running == 1 })
	r.publishAll("a/ruled", 1)
	p := aem.Priority(3)
	r.evctl("a/same", control.Request{Op: control.OpPriority, Priority: &p})
	before := r.ids()

	is := apps()
	is.Events[1].Source = source.Topic{Name: "a/another"}
	is.Events[2].Priority, is.Events[2].Filter = 7, "size > 1"
	is.Events = is.Events[:3]
	b := testApp("b", []executor.Spec{log}, event("new", source.Topic{Name: "b/new"}, "log"))
	r.mustReload("renewed job a/other, changed job a/ruled, removed job a/gone, added app b, added handler b/log, added job b/new", is, b)

	after := r.ids()
	if after["a/same"] != before["a/same"] || after["a/ruled"] != before["a/ruled"] || after["a/other"] == before["a/other"] || after["a/gone"] != 0 {
		t.Errorf("ids before %v, after %v", before, after)
	}
	if c := r.counts("a/same"); c.Detected != 5 || c.Waiting != 4 || c.Running != 1 {
		t.Errorf("a/same: %+v", c)
	}
	r.ask(func() {
		if p := r.jobNamed("a/same").priority; p != 3 {
			t.Errorf("evctl's priority is gone: %d", p)
		}
		if p := r.jobNamed("a/ruled").priority; p != 7 {
			t.Errorf("the file's priority is %d", p)
		}
	})
	for topic, jobs := range map[string]int{"a/another": 1, "b/new": 1, "a/ruled": 0} {
		if e, err := r.Emit(context.Background(), topic, []byte("x")); err != nil || e.Jobs != jobs {
			t.Errorf("%s: %+v, %v", topic, e, err)
		}
	}
	for _, topic := range []string{"a/other", "a/gone"} {
		if _, err := r.Emit(context.Background(), topic, nil); err == nil {
			t.Errorf("%s has a subscriber still", topic)
		}
	}
	if c := r.counts("a/ruled"); c.Done != 1 {
		t.Errorf("a/ruled: %+v", c)
	}
}

// TestReloadRefusesAllOrNothing_R168 has something wrong in an app, a handler, an event and a limit: all of it is told, and the
// supervisor runs on as it was, with what was right in the same file not begun either.
func TestReloadRefusesAllOrNothing_R168(t *testing.T) {
	log := builtin("log", "log", nil)
	a := testApp("a", []executor.Spec{log}, event("t", source.Topic{Name: "a/t"}, "log"))
	a.Limits.Jobs = 2
	r := startRun(t, nil, a)
	before := r.ids()

	is := a
	is.Handlers = []executor.Spec{log, handler("gone", "/nowhere/program")}
	is.Events = append(slices.Clone(a.Events), event("hot", source.Topic{Name: "a/hot"}, "log"), event("x", source.Topic{Name: "a/x"}, "log"))
	is.Events[1].Priority, is.Events[0].Filter = 20, "siez > 0"
	b := testApp("b", []executor.Spec{handler("h", "/bin/true")}, event("new", source.Topic{Name: "b/new"}, "h"))
	c := testApp("c", []executor.Spec{log}, event("t", source.Topic{Name: "c/t"}, "log"))
	c.User = "nobody-of-that-name"
	_, err := r.reload(is, b, c)
	for _, want := range []string{"app.a.handler.gone: ", "app.a.event.t.filter: unknown name siez", "app.a.event.hot: priority 20", "app.c.user: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %q", err, want)
		}
	}
	is.Handlers, is.Events[1].Priority, is.Events[0].Filter = a.Handlers, 10, ""
	if _, err := r.reload(is, b); err == nil || !strings.Contains(err.Error(), "app.a.limits.jobs: app a is at its limit: jobs = 2") {
		t.Errorf("too many jobs: %v", err)
	}
	if after := r.ids(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("jobs %v, want %v", after, before)
	}
	if e, err := r.Emit(context.Background(), "a/t", nil); err != nil || e.Jobs != 1 {
		t.Errorf("%+v, %v", e, err)
	}
}

// TestReloadChangesWhatTheKernelHoldsTo_R168 gives an app other numbers while it runs. What is wrong anywhere in the same file, or
// refused by the kernel, leaves the old ones in force.
func TestReloadChangesWhatTheKernelHoldsTo_R168(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	h := role(t, "window")
	h.Life, h.Size = executor.Resident, 1
	with := func(pids int64, cores string) App {
		a := topicApp(h)
		a.Limits.PIDs, a.Limits.CPUSet, a.Limits.Jobs = pids, cores, 1
		return a
	}
	b := func(cores string) App {
		b := topicApp(h)
		b.Name, b.Events[0].Source, b.Limits.CPUSet = "b", source.Topic{Name: "b/t"}, cores
		return b
	}
	r := startRun(t, nil, with(40, "0"), b("0"))
	holds := func(pids string) {
		t.Helper()
		var text []byte
		err := filepath.WalkDir("/sys/fs/cgroup", func(path string, _ fs.DirEntry, err error) error {
			if strings.HasSuffix(path, treeName(r.options.RuntimeDir)+"/a/pids.max") {
				text, err = os.ReadFile(path)
			}
			return err
		})
		if got := strings.TrimSpace(string(text)); err != nil || got != pids {
			t.Errorf("the kernel holds it to %q, %v, want %s", got, err, pids)
		}
		r.ask(func() {
			if got := r.apps[0].gauge("pids").value; got != pids {
				t.Errorf("it is told of as %s, want %s", got, pids)
			}
		})
	}
	holds("40")
	r.mustReload("changed app a", with(50, "0"), b("0"))
	holds("50")

	more := with(60, "0")
	more.Events = append(more.Events, event("x", source.Topic{Name: "a/x"}, "h")) // judged after the kernel was asked
	wrong, none := with(60, "0"), with(60, "0")
	wrong.Events[0].Filter = "siez > 0"
	none.Limits.PIDs, none.Limits.Memory = 0, 1<<20
	for want, apps := range map[string][]App{
		"app.a.limits.jobs: app a is at its limit":  {more, b("0")},
		"app.b.limits: cpuset: ":                    {with(60, "0"), b("4095")},
		"app.a.limits: changing it takes a restart": {none, b("0")},
		"app.b.limits: changing it takes a restart": {with(60, "0"), b("")},
		"app.a.event.t.filter: unknown name siez":   {wrong, b("0")},
	} {
		if _, err := r.reload(apps...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		holds("50")
	}
	if fate := r.emit("a/t", "x"); fate.Outcome != "done" {
		t.Errorf("%+v", fate)
	}
}

// TestReloadChangesWhatIsCountedTo_R168 gives an app at its limit more room, and then less than it uses: what is there stays,
// and what comes is measured by the number of the day.
func TestReloadChangesWhatIsCountedTo_R168(t *testing.T) {
	h, open := untilOpened(t)
	h.Concurrency = 1
	addr := tcpAddress(t)
	with := func(activations int) App {
		a := topicApp(h)
		a.Limits.Activations = activations
		a.Handlers = append(a.Handlers, builtin("log", "log", nil))
		a.Events = append(a.Events, event("in", source.Accept{Listen: []source.Address{addr}}, "log"))
		return a
	}
	r := startRun(t, nil, with(2))
	publish := func(taken bool) {
		t.Helper()
		var err error
		r.ask(func() { _, _, err = r.publish("a/t", nil) })
		if (err == nil) != taken {
			t.Errorf("an event more: %v", err)
		}
	}
	held := func(want bool) {
		t.Helper()
		r.ask(func() {
			if held := r.jobNamed("a/in").holds != 0; held != want {
				t.Errorf("the listener is held: %t", held)
			}
		})
	}
	publish(true)
	publish(true)
	publish(false)
	held(true)
	r.mustReload("changed app a", with(16))
	held(false)
	publish(true)
	r.mustReload("changed app a", with(1))
	held(true)
	publish(false)
	bad := with(100)
	bad.Events[1].Priority = 99
	if _, err := r.reload(bad); err == nil {
		t.Error("priority 99 is followed")
	}
	publish(false)
	open()
	r.until("a/t", "done", func(c aem.Counts) bool { return c.Done == 3 })
	held(false)
	publish(true)
}

// TestRenewedHandler_R126_R169 gives a handler another program while one event runs and others wait: that one ends where it is,
// the others are the new one's, and the two never run more at once than the handler may.
func TestRenewedHandler_R126_R169(t *testing.T) {
	for _, life := range []executor.Life{executor.Cold, executor.Capsule, executor.Resident} {
		t.Run(string(life), func(t *testing.T) {
			old, open := untilOpened(t)
			old.Life, old.Size, old.Concurrency = life, 1, 1
			r := startRun(t, nil, topicApp(old))
			r.publishAll("a/t", 20)
			r.until("a/t", "running", func(c aem.Counts) bool { return c.Running == 1 })
			young := role(t, "window")
			young.Life, young.Size, young.Concurrency = life, 2, 1
			r.mustReload("renewed handler a/h", topicApp(young))
			r.mustReload("", topicApp(young))
			if c := r.counts("a/t"); c.Running != 1 || c.Waiting != 19 {
				t.Errorf("beside what ran before: %+v", c)
			}
			open()
			if c := r.until("a/t", "done", func(c aem.Counts) bool { return c.Waiting+c.Running == 0 }); c.Done != 20 {
				t.Errorf("%+v", c)
			}
			r.gonePools(1)
			r.stop()
			var want []string
			for i := range 19 {
				want = append(want, fmt.Sprintf("%d 1", i+1))
			}
			said := r.said() // of several processes, in any order
			slices.Sort(said)
			if slices.Sort(want); !slices.Equal(said, want) {
				t.Errorf("the new handler had %q, want %q", said, want)
			}
		})
	}
}

// untilOpened is a handler that waits with each event until open was called.
func untilOpened(t *testing.T) (h executor.Spec, open func()) {
	t.Helper()
	h = role(t, "gated")
	gate := filepath.Join(t.TempDir(), "gate")
	h.Env["AEM_TEST_GATE"] = gate
	return h, func() {
		if err := os.WriteFile(gate, nil, 0o600); err != nil {
			t.Error(err)
		}
	}
}

// gonePools waits until the supervisor has no more pools than n.
func (r *run) gonePools(n int) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		var pools, retired, leaving int
		r.ask(func() { pools, retired, leaving = len(r.pools), len(r.retired), len(r.leaving) })
		if pools == n && retired == 0 && leaving == 0 {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%d pools, %d retired, %d apps are left", pools, retired, leaving)
		}
	}
}

// TestRemovedApp_R168: what runs of it finishes, what waits is shed; it can come back when nothing of it is left, and not
// before.
func TestRemovedApp_R168(t *testing.T) {
	h, open := untilOpened(t)
	h.Concurrency = 1
	keep := testApp("keep", []executor.Spec{builtin("log", "log", nil)}, event("t", source.Topic{Name: "keep/t"}, "log"))
	r := startRun(t, nil, topicApp(h), keep)
	r.publishAll("a/t", 5)
	r.until("a/t", "running", func(c aem.Counts) bool { return c.Running == 1 })
	var gone *app
	r.ask(func() { gone = r.appNamed("a") })
	r.mustReload("removed job a/t, removed handler a/h, removed app a", keep)
	if _, err := r.reload(topicApp(h), keep); err == nil || err.Error() != "app.a: "+errLeaving.Error() {
		t.Errorf("an app that has not ended comes back: %v", err)
	}
	open()
	r.gonePools(1)
	if c := gone.removed; c.Detected != 5 || c.Done != 1 || c.Shed != 4 || !c.Balanced() {
		t.Errorf("its books: %+v", c)
	}
	r.mustReload("added app a, added handler a/h, added job a/t", topicApp(h), keep)
	if fate := r.emit("a/t", "x"); fate.Outcome != "done" {
		t.Errorf("%+v", fate)
	}
}

// TestRulesAreOfAllJobs_R168: a job that an embedding program has registered beside the file's own goes on by the new rules, too.
func TestRulesAreOfAllJobs_R168(t *testing.T) {
	with := func(p aem.Priority) App {
		a := testApp("a", []executor.Spec{builtin("log", "log", nil)}, event("t", source.Topic{Name: "a/t"}, "log"))
		a.Events[0].Priority, a.Events[0].Filter = p, fmt.Sprintf("size > %d", p)
		return a
	}
	r := startRun(t, nil, with(3))
	more := with(3).Events[0]
	ids, err := r.Register("a", more)
	r.must(err)
	r.must(r.Start(ids...))
	r.mustReload("changed job a/t", with(7))
	r.ask(func() {
		n := 0
		for id := range r.jobs.all() {
			n++
			if j := r.jobs.get(id); j.priority != 7 || r.filterOf(j, r.jobs.registration(j)).String() != "size > 7" {
				t.Errorf("%v has priority %d", id, j.priority)
			}
		}
		if n != 2 {
			t.Errorf("%d jobs", n)
		}
	})
	r.mustReload("removed job a/t, removed handler a/log, removed app a")
	r.gonePools(0)
}

// TestRenewedThreads_R126 gives a handler on threads more of them, and then fewer, while its events run: what runs with those
// before counts for what may run at once, over any number of changes.
func TestRenewedThreads_R126(t *testing.T) {
	g, r := gateway(t, func(*Registration) {})
	with := func(concurrency int) App {
		a := *r.apps[0].spec
		a.Handlers = slices.Clone(a.Handlers)
		a.Handlers[0].Concurrency = concurrency
		return a
	}
	running := func(n, waiting uint64) {
		t.Helper()
		r.until("a/t", fmt.Sprintf("running %d", n), func(c aem.Counts) bool { return c.Running == n && c.Waiting == waiting })
	}
	r.publishAtOnce("1", "2", "3", "4", "5")
	running(1, 4)
	r.mustReload("renewed handler a/h", with(3))
	running(3, 2)
	r.mustReload("renewed handler a/h", with(2))
	g.pass <- nil
	running(2, 2)
	g.pass <- nil
	running(2, 1)
	for range 3 {
		g.pass <- nil
	}
	r.until("a/t", "done", func(c aem.Counts) bool { return c.Done == 5 })
	r.gonePools(2)
}
