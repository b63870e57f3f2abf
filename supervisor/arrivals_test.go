package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/source"
)

// gate is a handler that waits to be let through, and notes what it got.
type gate struct {
	pass chan error
	mu   sync.Mutex
	got  []string
}

func (g *gate) function(_ context.Context, e *aem.Event) error {
	text := fmt.Sprintf("%s*%d", e.Data, e.Count)
	if e.Count > 1 && !e.Last.After(e.Time) {
		text += " without a last time"
	}
	g.mu.Lock()
	g.got = append(g.got, text)
	g.mu.Unlock()
	return <-g.pass
}

func (g *gate) all() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.got)
}

// gateway is a supervisor with a topic a/t whose handler is a gate, one at a time.
func gateway(t *testing.T, change func(*Registration), more ...Registration) (*gate, *run) {
	t.Helper()
	g := &gate{pass: make(chan error)}
	h, functions := function(executor.Thread, g.function)
	h.Concurrency, h.Backoff = 1, executor.Backoff{First: time.Hour, Factor: 1, Max: time.Hour}
	e := event("t", source.Topic{Name: "a/t"}, "h")
	change(&e)
	r := startRun(t, functions, testApp("a", []executor.Spec{h, builtin("log", "log", nil)}, append([]Registration{e}, more...)...))
	t.Cleanup(func() { // before the supervisor ends
		go func() {
			for {
				select {
				case g.pass <- nil:
				case <-r.done:
					return
				}
			}
		}()
	})
	return g, r
}

// publishAtOnce publishes in one step of the loop.
func (r *run) publishAtOnce(data ...string) {
	r.ask(func() {
		for _, d := range data {
			if _, _, err := r.publish("a/t", []byte(d)); err != nil {
				r.t.Error(err)
			}
		}
	})
}

// TestArrivals_R034_R094: what becomes of arrivals while the one agent is busy.
func TestArrivals_R034_R094(t *testing.T) {
	for rule, want := range map[Arrivals]struct {
		waiting, shed uint64
		got           string
	}{
		EachArrival:    {4, 0, "1*1 2*1 3*1 4*1 5*1"},
		MergeArrival:   {4, 0, "1*1 5*4"},
		SkipArrival:    {0, 4, "1*1"},
		ReplaceArrival: {1, 3, "1*1 5*1"},
	} {
		t.Run(string(rule), func(t *testing.T) {
			g, r := gateway(t, func(e *Registration) { e.Arrivals = rule })
			r.publishAtOnce("1")
			r.until("a/t", "running", func(c aem.Counts) bool { return c.Running == 1 })
			for i := range 4 {
				r.publishAtOnce(fmt.Sprint(2 + i))
			}
			if c := r.counts("a/t"); c.Waiting != want.waiting || c.Shed != want.shed || c.Detected != 5 {
				t.Errorf("%+v", c)
			}
			n := len(strings.Fields(want.got))
			for range n {
				g.pass <- nil
			}
			c := r.until("a/t", "done", func(c aem.Counts) bool { return c.Waiting+c.Running == 0 })
			if got := strings.Join(g.all(), " "); got != want.got || c.Done != 5-want.shed {
				t.Errorf("got %s, want %s: %+v", got, want.got, c)
			}
			r.ask(func() {
				if u := r.apps[0].gauges; u.bytes.Used != 0 || u.activations.Used != 0 || len(r.joined) != 0 {
					t.Errorf("%d bytes, %d activations, %d joined are left", u.bytes.Used, u.activations.Used, len(r.joined))
				}
			})
		})
	}
}

// TestMergedArrivalsShareTheFate_R094: whoever waits for a merged arrival is told the fate of what it joined, and the
// other job of the same event is not touched.
func TestMergedArrivalsShareTheFate_R094(t *testing.T) {
	other := event("other", source.Topic{Name: "a/t"}, "log")
	g, r := gateway(t, func(e *Registration) { e.Arrivals = MergeArrival }, other)
	r.publishAtOnce("1")
	r.until("a/t", "running", func(c aem.Counts) bool { return c.Running == 1 })
	fates := make(chan []control.Fate)
	for i := range 3 {
		go func() {
			emitted, err := r.Emit(context.Background(), "a/t", fmt.Append(nil, i))
			if err != nil {
				t.Error(err)
			}
			fates <- emitted.Fates
		}()
		r.until("a/t", "merged", func(c aem.Counts) bool { return c.Waiting == uint64(i+1) })
	}
	g.pass <- nil
	g.pass <- aem.Fail(errors.New("no use"))
	for range 3 {
		told := map[string]string{}
		for _, f := range <-fates {
			told[f.Job] = f.Outcome
		}
		if len(told) != 2 || told["a/t"] != "failed" || told["a/other"] != "done" {
			t.Errorf("fates %v", told)
		}
	}
	if c := r.counts("a/t"); c.Done != 1 || c.Failed != 3 {
		t.Errorf("%+v", c)
	}
	if got := strings.Join(g.all(), " "); got != "1*1 2*3" {
		t.Errorf("got %s", got)
	}
	if n := strings.Count(r.logs.String(), "event=other"); n != 4 {
		t.Errorf("the other job saw %d events", n)
	}
}

// TestExpired: what waited too long is not run, though no agent is free to find that out; what runs is not touched, and
// what waits for another attempt is.
func TestExpired_R140(t *testing.T) {
	g, r := gateway(t, func(e *Registration) { e.Expire = 30 * time.Millisecond })
	began := time.Now()
	r.publishAtOnce("1", "2", "3")
	c := r.until("a/t", "expired", func(c aem.Counts) bool { return c.Expired == 2 })
	if took := time.Since(began); took < 30*time.Millisecond || c.Running != 1 {
		t.Errorf("after %v: %+v", took, c)
	}
	g.pass <- errors.New("again, in an hour")
	if c := r.until("a/t", "expired", func(c aem.Counts) bool { return c.Expired == 3 }); c.Failed != 0 {
		t.Errorf("%+v", c)
	}
	if got := strings.Join(g.all(), " "); got != "1*1" {
		t.Errorf("ran %s", got)
	}
	fate := make(chan string)
	r.publishAtOnce("4")
	r.until("a/t", "running", func(c aem.Counts) bool { return c.Running == 1 })
	go func() {
		emitted, err := r.Emit(context.Background(), "a/t", nil)
		if err != nil {
			t.Error(err)
		}
		fate <- emitted.Fates[0].Outcome
	}()
	if got := <-fate; got != "expired" {
		t.Errorf("fate %s", got)
	}
	if dead := r.dead.match(func(*letter) bool { return true }); len(dead) != 0 {
		t.Errorf("%d dead letters", len(dead))
	}
}

// TestNothingRunsAfterItExpired has many activations that expire one by one while an agent takes them one by one.
func TestNothingRunsAfterItExpired(t *testing.T) {
	const expire = 10 * time.Millisecond
	late := 0
	h, functions := function(executor.Callback, func(_ context.Context, e *aem.Event) error {
		if time.Since(e.Time) > expire+5*time.Millisecond { // between being taken and this line
			late++
		}
		time.Sleep(100 * time.Microsecond)
		return nil
	})
	e := event("t", source.Topic{Name: "a/t"}, "h")
	e.Expire = expire
	a := testApp("a", []executor.Spec{h}, e)
	a.Limits.Activations = 1000
	r := startRun(t, functions, a)
	var c aem.Counts
	for tries := 0; tries < 20 && (c.Done == 0 || c.Expired == 0); tries++ { // a machine may be too slow to begin in time
		r.publishAtOnce(make([]string, 1000)...)
		c = r.until("a/t", "over", func(c aem.Counts) bool { return c.Waiting+c.Running == 0 })
	}
	const pauses = 3 // that others on the machine may make there
	if c.Done == 0 || c.Expired == 0 || late > pauses {
		t.Errorf("%d ran too late: %+v", late, c)
	}
}

// TestDeadlineMissedIsCountedAndTold_R082: once for each event, while it waits still or when it starts.
func TestDeadlineMissedIsCountedAndTold_R082(t *testing.T) {
	var n told
	watch, note := n.watcher("a", "supervisor.deadline")
	g := &gate{pass: make(chan error)}
	h, _ := function(executor.Thread, g.function)
	h.Concurrency, h.Call = 1, "gate"
	e := event("t", source.Topic{Name: "a/t"}, "h")
	e.Deadline = 20 * time.Millisecond
	r := startRun(t, func(o *Options) {
		note(o)
		o.Functions["gate"] = g.function
	}, watch, testApp("a", []executor.Spec{h}, e))
	r.publishAtOnce("in time", "late", "later")
	for _, text := range n.await(t, 2) {
		if !strings.Contains(text, "subject=a job=a/t late=") || !strings.Contains(text, "deadline_us=20000 waited_us=") || strings.Contains(text, "without") {
			t.Errorf("told %s", text)
		}
	}
	for range 3 {
		g.pass <- nil
	}
	r.until("a/t", "done", func(c aem.Counts) bool { return c.Done == 3 })
	var missed uint64
	r.ask(func() { missed = r.jobs.look(r.jobNamed("a/t")).missed })
	if n.await(t, 2); missed != 2 {
		t.Errorf("missed %d", missed)
	}
}

// TestSilenceIsToldOnce_R077: when nothing arrives for so long, once, until something does.
func TestSilenceIsToldOnce_R077(t *testing.T) {
	var n told
	watch, note := n.watcher("a", "supervisor.silence")
	e := event("t", source.Topic{Name: "a/t"}, "h")
	e.Silence = 30 * time.Millisecond
	r := startRun(t, note, watch, testApp("a", []executor.Spec{builtin("h", "log", nil)}, e))
	for range 10 {
		r.publishAtOnce("") // too soon for silence
		time.Sleep(5 * time.Millisecond)
	}
	before := len(n.all())
	if text := n.await(t, before+1)[before]; !strings.Contains(text, "job=a/t silence_us=30000 since=2") || strings.Contains(text, "without") {
		t.Errorf("told %s", text)
	}
	r.publishAtOnce("")
	n.await(t, before+2)
	r.ask(func() { r.stop1("a/t") })
	r.ask(func() {
		if len(r.silences) != 0 {
			t.Errorf("%d stopped jobs are listened to", len(r.silences))
		}
	})
}

// stop1 stops a job; it runs on the loop.
func (r *run) stop1(name string) { r.Supervisor.stop(r.jobNamed(name).id) }

// TestFilter_R075: what is not meant is not detected, and counted apart.
func TestFilter_R075(t *testing.T) {
	e := event("t", source.Topic{Name: "a/t"}, "h")
	e.Filter = `size > 0 && data.user != "nobody"`
	all := event("all", source.Topic{Name: "a/t"}, "h")
	r := startRun(t, nil, testApp("a", []executor.Spec{builtin("h", "log", nil)}, e, all))
	for data, jobs := range map[string]int{``: 1, `{"user": "root"}`: 2, `{"user": "nobody"}`: 1, `text`: 2} {
		emitted, err := r.Emit(context.Background(), "a/t", []byte(data))
		if err != nil || emitted.Jobs != jobs || len(emitted.Fates) != jobs {
			t.Errorf("%s: %+v, %v; want %d jobs", data, emitted, err, jobs)
		}
	}
	var filtered uint64
	r.ask(func() { filtered = r.jobs.look(r.jobNamed("a/t")).filtered })
	if c := r.counts("a/t"); c.Detected != 2 || c.Done != 2 || filtered != 2 {
		t.Errorf("%d were kept out: %+v", filtered, c)
	}
	if c := r.counts("a/all"); c.Done != 4 {
		t.Errorf("%+v", c)
	}
}

// TestFilterThatCannotJudgeLosesNothing_R075: an event that it makes no sense for passes, which is told.
func TestFilterThatCannotJudgeLosesNothing_R075(t *testing.T) {
	e := event("t", source.Topic{Name: "a/t"}, "h")
	e.Filter = `data.n > 5`
	r := startRun(t, nil, testApp("a", []executor.Spec{builtin("h", "log", nil)}, e))
	for _, data := range []string{`{"n": 7}`, `{"n": 1}`, `{"n": "x"}`, `{"n": "y"}`} {
		if _, err := r.Emit(context.Background(), "a/t", []byte(data)); err != nil {
			t.Error(err)
		}
	}
	if c := r.counts("a/t"); c.Done != 3 {
		t.Errorf("%+v", c)
	}
	r.logged("a filter cannot judge its events")
	for filter, want := range map[string]string{"siez > 0": "unknown name siez", "size": "expected bool"} {
		e.Filter = filter
		a := testApp("a", []executor.Spec{builtin("h", "log", nil)}, e)
		if _, err := New(Options{Apps: []App{a}, Logger: r.log}); err == nil || !strings.Contains(err.Error(), "app.a.event.t.filter: "+want) {
			t.Errorf("%s: %v", filter, err)
		}
	}
}

// TestFilterIsReplaced_R075 gives jobs other filters while the supervisor runs, and takes them away. An expression that
// does not fit one of the jobs changes none.
func TestFilterIsReplaced_R075(t *testing.T) {
	e := event("t", source.Topic{Name: "a/t"}, "h")
	e.Filter = `size > 0`
	timer := event("timer", source.Timer{After: time.Hour}, "h")
	r := startRun(t, nil, testApp("a", []executor.Spec{builtin("h", "log", nil)}, e, timer))
	for _, c := range []struct{ job, filter, refused, kept string }{
		{"a/t", `size == 1`, "", "x"},
		{"a/t", `siez`, "filter: a/t: unknown name siez", "x"},
		{"a/*", `topic == "a/t"`, "filter: a/timer: unknown name topic", "x"},
		{"a/*", `size > 1`, "", "xx"},
		{"a/t", ``, "", " x xx"},
	} {
		reply := r.evctl(c.job, control.Request{Op: control.OpFilter, Filter: &c.filter})
		if !strings.HasPrefix(reply.Error, c.refused) || (reply.Errno == syscall.EINVAL) != (c.refused != "") {
			t.Errorf("filter %s %q: %v %q, want %q", c.job, c.filter, reply.Errno, reply.Error, c.refused)
		}
		var kept []string
		for _, data := range []string{"", "x", "xx"} {
			emitted, err := r.Emit(context.Background(), "a/t", []byte(data))
			if err != nil {
				t.Fatal(err)
			}
			if emitted.Jobs == 1 {
				kept = append(kept, data)
			}
		}
		if strings.Join(kept, " ") != c.kept {
			t.Errorf("after filter %s %q: %q were meant, want %q", c.job, c.filter, kept, c.kept)
		}
	}
	looked, err := control.ResultOf[[]control.Lookup](r.evctl("a/*", control.Request{Op: control.OpLookup}))
	if err != nil || looked[0].Filter != "" || looked[1].Filter != "size > 1" {
		t.Errorf("lookup: %+v, %v", looked, err)
	}
}

// TestBooksBalanceUnderRandomArrivals_R094 has jobs of every rule live through everything that can happen to what
// arrives: after each step every event is in exactly one place.
func TestBooksBalanceUnderRandomArrivals_R094(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := &gate{pass: make(chan error)}
		h, functions := function(executor.Thread, g.function)
		h.Concurrency, h.Retries = rapid.IntRange(1, 3).Draw(rt, "concurrency"), 1
		var events []Registration
		for _, rule := range []Arrivals{EachArrival, MergeArrival, SkipArrival, ReplaceArrival} {
			e := event(string(rule), source.Topic{Name: "a/t"}, "h")
			e.Arrivals, e.Full = rule, rapid.SampledFrom([]Full{HoldFull, ShedFull}).Draw(rt, "full")
			e.Expire = rapid.SampledFrom([]time.Duration{0, 3 * time.Millisecond}).Draw(rt, "expire")
			e.Deadline = rapid.SampledFrom([]time.Duration{0, time.Millisecond}).Draw(rt, "deadline")
			e.Filter = rapid.SampledFrom([]string{"", "size > 1"}).Draw(rt, "filter")
			events = append(events, e)
		}
		a := testApp("a", []executor.Spec{h}, events...)
		a.Limits.Activations = rapid.IntRange(1, 8).Draw(rt, "activations")
		r := startRun(t, functions, a)
		letThrough := func(err error) {
			select {
			case g.pass <- err:
			case <-time.After(time.Millisecond): // nobody is there
			}
		}
		jobs := rapid.SampledFrom([]string{"a/each", "a/merge", "a/skip", "a/replace"})
		onJob := func(name string, f func(j *job)) {
			r.ask(func() {
				if j := r.jobNamed(name); j != nil {
					f(j)
				}
			})
		}
		rt.Repeat(map[string]func(*rapid.T){
			"publish": func(rt *rapid.T) {
				for range rapid.IntRange(1, 5).Draw(rt, "how many") {
					data := rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(rt, "data")
					r.ask(func() { r.publish("a/t", data) }) // or it is refused
				}
			},
			"done":  func(*rapid.T) { letThrough(nil) },
			"retry": func(*rapid.T) { letThrough(aem.After(time.Millisecond, errors.New("again"))) },
			"fail":  func(*rapid.T) { letThrough(aem.Fail(errors.New("no use"))) },
			"wait":  func(*rapid.T) { time.Sleep(time.Millisecond) },
			"stop":  func(rt *rapid.T) { onJob(jobs.Draw(rt, "job"), func(j *job) { r.Supervisor.stop(j.id) }) },
			"start": func(rt *rapid.T) { onJob(jobs.Draw(rt, "job"), func(j *job) { r.start(j.id) }) },
			"clean": func(rt *rapid.T) { onJob(jobs.Draw(rt, "job"), func(j *job) { r.clean(j) }) },
			"":      func(rt *rapid.T) { r.checkBooks(rt) },
		})
		for range 100 { // everything gets its fate
			letThrough(nil)
			busy := false
			r.ask(func() {
				for id := range r.jobs.all() {
					c := r.jobs.counts(r.jobs.get(id))
					busy = busy || c.Waiting+c.Running > 0
				}
			})
			if !busy {
				break
			}
		}
		r.checkBooks(rt)
		go func() {
			for {
				select {
				case g.pass <- nil:
				case <-r.done:
					return
				}
			}
		}()
		r.stop()
	})
}

// checkBooks checks the books of all jobs, and what the app is counted to have.
func (r *run) checkBooks(t *rapid.T) {
	r.ask(func() {
		waiting := map[aem.JobID]uint64{}
		each := func(a *aem.Activation) bool { waiting[a.Job] += uint64(a.Event.Count); return false }
		r.pools[0].Remove(each, nil)
		for a := range r.retries {
			each(a)
		}
		for id := range r.jobs.all() {
			j := r.jobs.get(id)
			c := r.jobs.counts(j)
			if !c.Balanced() || c.Waiting != waiting[id] {
				t.Errorf("%s: %d wait: %+v", r.jobs.registration(j).name(), waiting[id], c)
			}
		}
		if g := &r.apps[0].gauges.activations; g.Used < 0 || g.Used > g.Most+int64(len(r.retries)) {
			t.Errorf("%d activations of %d", g.Used, g.Most)
		}
	})
}

// TestPublicationStaysWithinTheLimit_R101: a job that sheds took the place that room was found for, of one that does not,
// and the app had more activations than it may.
func TestPublicationStaysWithinTheLimit_R101(t *testing.T) {
	first := event("first", source.Topic{Name: "a/t"}, "h")
	first.Full = ShedFull
	g := &gate{pass: make(chan error)}
	h, functions := function(executor.Thread, g.function)
	h.Concurrency = 1
	a := testApp("a", []executor.Spec{h}, first, event("second", source.Topic{Name: "a/t"}, "h"))
	a.Limits.Activations = 1
	r := startRun(t, functions, a)
	r.publishAtOnce("1")
	g.pass <- nil
	r.until("a/second", "done", func(c aem.Counts) bool { return c.Done == 1 })
	if c := r.counts("a/first"); c.Shed != 1 {
		t.Errorf("%+v", c)
	}
}
