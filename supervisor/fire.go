package supervisor

import (
	"context"
	"slices"
	"syscall"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/source"
)

// answerFire activates jobs without an event of their source's having happened. None is activated unless all can be: the room
// for all is taken at once, so that nobody else has it when their turn comes.
func (s *Supervisor) answerFire(_ context.Context, peer control.Peer, req control.Request) control.Reply {
	taken := map[*gauge]*app{}
	left := map[*gauge]int64{}
	return s.touch(peer, req, act{
		may: func(jobs []*job) error {
			if err := s.fireable(jobs); err != nil {
				return err
			}
			for _, j := range jobs {
				reg := s.jobs.registration(j)
				for _, g := range reg.app.places(reg.counted) {
					g.Add(1)
					taken[g] = reg.app
					left[g]++
				}
			}
			for g, a := range taken {
				if !g.Room(1) {
					s.holdAtLimit(a, g, "")
				}
			}
			return nil
		},
		do: func(j *job, t *control.Touched) {
			reg := s.jobs.registration(j)
			for _, g := range reg.app.places(reg.counted) {
				g.Add(-1)
				left[g]--
			}
			if s.phase != running {
				return
			}
			e := s.NewEvent(reg.spec.Source.Type())
			t.Event = e.ID
			s.activate(j, reg, e)
		},
		after: func() { // of jobs that are gone
			for g, a := range taken {
				g.Add(-left[g])
				s.releaseAtLimit(a, []*gauge{g})
			}
		},
	})
}

// places are those of an activation's limits that are counted by one.
func (a *app) places(counted []*gauge) []*gauge {
	return slices.DeleteFunc(slices.Clone(counted), func(g *gauge) bool { return g == &a.gauges.bytes })
}

func (s *Supervisor) fireable(jobs []*job) error {
	if s.phase != running {
		return errStopping
	}
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
