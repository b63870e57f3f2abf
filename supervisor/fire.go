package supervisor

import (
	"context"
	"syscall"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/source"
)

// answerFire activates jobs without an event of their source's having happened. None is activated unless all can be.
func (s *Supervisor) answerFire(_ context.Context, peer control.Peer, req control.Request) control.Reply {
	var err error
	reply := s.withJobs(peer, req, func(jobs []*job) any {
		if err = s.fireable(jobs); err != nil {
			return nil
		}
		fired := make([]control.Touched, len(jobs))
		for i, j := range jobs {
			reg := s.jobs.registration(j)
			e := s.NewEvent(reg.spec.Source.Type())
			s.activate(j, reg, e)
			fired[i] = control.Touched{ID: j.id, Job: reg.name(), Event: e.ID}
		}
		return fired
	})
	if err != nil {
		return refusal(req.Op, err)
	}
	return reply
}

func (s *Supervisor) fireable(jobs []*job) error {
	ids := make([]aem.JobID, len(jobs))
	for i, j := range jobs {
		reg := s.jobs.registration(j)
		if source.BringsSocket(reg.spec.Source.Type()) {
			return control.Errorf(syscall.EINVAL, "fire: %s wants a connection, which only a client can make", reg.name())
		}
		ids[i] = j.id
	}
	return s.roomFor(ids, func(*registration) bool { return true })
}

// Fire activates the jobs of an event of an app, started or not, with facts and data that are the supervisor's from here
// on, as if it had happened, and waits for the fates. It may be called from anywhere but the loop, as Emit.
func (s *Supervisor) Fire(ctx context.Context, app, event string, facts []aem.Fact, data []byte) (control.Emitted, error) {
	return s.fates(ctx, control.OpFire, true, func(w *waiter) (control.Emitted, error) {
		return s.fire(w, app, event, facts, data)
	})
}

func (s *Supervisor) fire(w *waiter, app, event string, facts []aem.Fact, data []byte) (control.Emitted, error) {
	if s.phase != running {
		return control.Emitted{}, errStopping
	}
	jobs, err := s.selected(control.Peer{}, control.Request{Op: control.OpFire, Selectors: []control.Selector{{App: app, Event: event}}})
	if err == nil {
		err = s.fireable(jobs)
	}
	if err != nil {
		return control.Emitted{}, err
	}
	reg := s.jobs.registration(jobs[0])
	if most := reg.app.spec.Limits.QueueBytes; int64(len(data)) > most {
		return control.Emitted{}, control.Errorf(syscall.EINVAL, "fire: %d bytes are more than app %s may queue (%d)", len(data), app, most)
	}
	w.left = len(jobs)
	s.waiters[s.lastID+1] = w // before the event is made: a job may shed it at once
	e := s.NewEvent(reg.spec.Source.Type())
	e.Facts, e.Data = facts, data
	for _, j := range jobs {
		s.activate(j, s.jobs.registration(j), e)
	}
	return control.Emitted{ID: e.ID, Jobs: len(jobs)}, nil
}

// Jobs are snapshots of all jobs, also when Run has returned. It may be called from anywhere but the loop.
func (s *Supervisor) Jobs() (all []aem.JobStatus) {
	list := func() {
		for id := range s.jobs.all() {
			all = append(all, s.status(s.jobs.get(id)))
		}
	}
	if !s.ask(list) {
		list() // the loop has ended: nobody else has them
	}
	return all
}
