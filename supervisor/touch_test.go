package supervisor

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/source"
)

// many is more jobs than one turn takes.
const many = 2*registerAtOnce + 5

// manyJobs runs an app whose event has many jobs, as many as it may have activations, and returns a request that names them.
func manyJobs(t *testing.T, agent executor.AgentKind, f executor.Function) (*run, control.Request) {
	t.Helper()
	h, functions := function(agent, f)
	h.Concurrency = 1
	e := event("t", source.Timer{Every: time.Hour}, "h")
	a := testApp("a", []executor.Spec{h})
	a.Limits.Jobs, a.Limits.Activations = many, many
	r := startRun(t, functions, a)
	specs := make([]source.Spec, many)
	for i := range specs {
		specs[i] = source.Timer{Every: time.Hour}
	}
	ids, err := r.Register("a", e, specs...)
	r.must(err)
	req := control.Request{Quiet: true}
	for _, id := range ids {
		req.Selectors = append(req.Selectors, control.Selector{ID: id})
	}
	return r, req
}

// asked is how a request on many jobs ends.
func (r *run) asked(req control.Request, op control.Op, uid uint32) (jobs int, errno syscall.Errno, why string) {
	r.t.Helper()
	if req.Op = op; op == control.OpPriority && req.Priority == nil {
		req.Priority = new(aem.Priority)
	}
	r.must(req.Check())
	reply := r.answer(context.Background(), control.Peer{UID: uid}, req)
	if reply.Later != nil {
		reply = reply.Later()
	}
	acted, err := control.ResultOf[control.Acted](reply)
	if reply.Errno == 0 {
		r.must(err)
	}
	return acted.Jobs, reply.Errno, reply.Error
}

// books are all events of app a, what its activations count for, and how many of its jobs have a priority.
func (r *run) books(p aem.Priority) (c aem.Counts, used int64, of int) {
	r.t.Helper()
	r.ask(func() {
		for id := range r.jobs.all() {
			j := r.jobs.get(id)
			one := r.jobs.counts(j)
			c.Detected, c.Done, c.Shed = c.Detected+one.Detected, c.Done+one.Done, c.Shed+one.Shed
			c.Waiting, c.Running = c.Waiting+one.Waiting, c.Running+one.Running
			if j.priority == p {
				of++
			}
		}
		used = r.apps[0].gauges.activations.Used
	})
	return c, used, of
}

// TestManyJobsAtOnceAllOrNone_R073 fires, changes and cleans more jobs than a turn of the loop takes: all of them, or none where
// one may not be, is not there any more or is somebody else's.
func TestManyJobsAtOnceAllOrNone_R073(t *testing.T) {
	let, runs := make(chan struct{}), make(chan aem.EventID, many)
	r, req := manyJobs(t, executor.Thread, func(_ context.Context, e *aem.Event) error { runs <- e.ID; <-let; return nil })
	defer close(let)
	eleven, twelve, over := aem.Priority(11), aem.Priority(12), aem.Priority(16)
	done := func(op control.Op, req control.Request) {
		t.Helper()
		if n, errno, why := r.asked(req, op, 0); n != many || errno != 0 {
			t.Errorf("%v: %d jobs, %v %s", op, n, errno, why)
		}
	}
	refused := func(op control.Op, req control.Request, want syscall.Errno, why string) {
		t.Helper()
		before, _, of := r.books(twelve)
		if _, errno, text := r.asked(req, op, 0); errno != want || !strings.Contains(text, why) {
			t.Errorf("%v: %v %q, want %v %q", op, errno, text, want, why)
		}
		if after, _, is := r.books(twelve); after != before || is != of {
			t.Errorf("%v: refused, and books %+v are %+v, %d of %d have the priority", op, before, after, is, of)
		}
	}
	done(control.OpFire, req)
	if c, used, _ := r.books(0); c.Detected != many || c.Waiting+c.Running != many || used != many {
		t.Errorf("books %+v, %d activations are in use", c, used)
	}
	refused(control.OpFire, req, syscall.EAGAIN, "activations = ")

	req.Priority = &over
	refused(control.OpPriority, req, syscall.EPERM, "limits.priority_max")
	req.Priority = &twelve
	done(control.OpPriority, req)
	if _, _, of := r.books(twelve); of != many {
		t.Errorf("%d jobs have the priority", of)
	}
	const half = many / 2
	lower := req
	lower.Priority, lower.Selectors = &eleven, req.Selectors[:half]
	if n, errno, why := r.asked(lower, control.OpPriority, 0); n != half || errno != 0 {
		t.Errorf("priority: %d jobs, %v %s", n, errno, why)
	}
	first := <-runs
	for i := range 3 { // the upper half comes before the rest of the lower, in its order
		let <- struct{}{}
		if is := <-runs; is != first+half+aem.EventID(i) {
			t.Errorf("event %d runs, the first was %d, want %d", is, first, first+half+aem.EventID(i))
		}
	}
	req.Priority = nil
	done(control.OpClean, req)
	if c, _, _ := r.books(0); c.Shed != many-c.Running-c.Done || c.Waiting != 0 {
		t.Errorf("books %+v", c)
	}

	last := &req.Selectors[many-1]
	is := *last
	r.must(r.Remove(is.ID))
	for _, op := range []control.Op{control.OpStart, control.OpStop, control.OpFire, control.OpPriority, control.OpClean, control.OpRemove} {
		req.Selectors[0].ID = is.ID
		refused(op, req, syscall.ENOENT, "no such job: "+is.String())
	}
	req.Selectors = req.Selectors[1 : many-1]
	if _, errno, why := r.asked(req, control.OpFire, 65534); errno != syscall.ENOENT {
		t.Errorf("another user's: %v %s", errno, why)
	}
	if _, errno, why := r.asked(req, control.OpRemove, 0); errno != 0 {
		t.Errorf("remove: %v %s", errno, why)
	}
}

// TestJobsGoBetweenTurnsOfAFire_R073 has an event of the first turn remove jobs whose turn would come: the room that was taken for
// them is free again.
func TestJobsGoBetweenTurnsOfAFire_R073(t *testing.T) {
	var r *run
	var req control.Request
	removed := false
	r, req = manyJobs(t, executor.Callback, func(context.Context, *aem.Event) error { // on the loop
		if !removed {
			removed = true
			for _, sel := range req.Selectors[registerAtOnce:] {
				r.remove(sel.ID)
			}
		}
		return nil
	})
	if n, errno, why := r.asked(req, control.OpFire, 0); n != registerAtOnce || errno != 0 {
		t.Errorf("%d jobs, %v %s", n, errno, why)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		c, used, _ := r.books(0)
		if c.Done == registerAtOnce && used == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("books %+v, %d activations are in use", c, used)
		}
	}
}

// clean sheds what waits of a job.
func (s *Supervisor) clean(j *job) {
	s.shedWaiting([]*job{j}, &aem.Completion{Outcome: aem.Shed, Exit: -1})
}
