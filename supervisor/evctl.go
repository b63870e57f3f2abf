package supervisor

import (
	"context"
	"syscall"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/internal/filter"
)

// answerPriority gives jobs another priority: what waits of them is ordered anew, what runs is not touched. None is
// changed unless all may be.
func (s *Supervisor) answerPriority(_ context.Context, peer control.Peer, req control.Request) control.Reply {
	return s.touch(peer, req, act{
		may: func(jobs []*job) error {
			for _, j := range jobs {
				reg := s.jobs.registration(j)
				if most := reg.app.spec.Limits.PriorityMax; int(*req.Priority) > most {
					return control.Errorf(syscall.EPERM, "priority: %s: %d is above the app's %d (limits.priority_max)", reg.name(), *req.Priority, most)
				}
			}
			return nil
		},
		ahead: func(jobs []*job) { s.setPriority(*req.Priority, jobs...) },
		do:    func(*job, *control.Touched) {},
	})
}

func (s *Supervisor) setPriority(p aem.Priority, jobs ...*job) {
	pools, meant := s.waitingOf(jobs)
	for _, j := range jobs {
		j.priority = p
	}
	for _, pool := range pools {
		pool.Reorder(meant, p)
	}
	for a := range s.retries {
		if meant(a) {
			a.Priority = p
		}
	}
}

// answerTimeout says how long attempts of jobs may run, from the next attempt on.
func (s *Supervisor) answerTimeout(_ context.Context, peer control.Peer, req control.Request) control.Reply {
	timeout := *req.Timeout
	if timeout == 0 {
		timeout = noTimeout
	}
	return s.touch(peer, req, act{do: func(j *job, _ *control.Touched) { s.jobs.registration(j).timeout = timeout }})
}

// noTimeout is a timeout that takes the handler's own away.
const noTimeout = time.Duration(-1)

// answerFilter gives jobs another filter, for what is detected from now on. None is changed unless the expression is right
// for the events of all of them.
func (s *Supervisor) answerFilter(_ context.Context, peer control.Peer, req control.Request) control.Reply {
	filters := map[string]*filter.Filter{} // by type
	return s.touch(peer, req, act{
		may: func(jobs []*job) (err error) {
			for _, j := range jobs {
				reg := s.jobs.registration(j)
				typ := reg.spec.Source.Type()
				if _, made := filters[typ]; made {
					continue
				}
				if filters[typ], err = compileFilter(*req.Filter, typ); err != nil {
					return control.Errorf(syscall.EINVAL, "filter: %s: %v", reg.name(), err)
				}
			}
			return nil
		},
		do: func(j *job, _ *control.Touched) {
			j.narrowed = true
			s.narrowed[j.id] = filters[s.jobs.registration(j).spec.Source.Type()]
		},
	})
}

// answerClean sheds what waits of jobs; the jobs stay as they are.
func (s *Supervisor) answerClean(_ context.Context, peer control.Peer, req control.Request) control.Reply {
	var before map[aem.JobID]uint64
	return s.touch(peer, req, act{
		ahead: func(jobs []*job) {
			before = map[aem.JobID]uint64{}
			for _, j := range jobs {
				before[j.id] = s.jobs.look(j).shed
			}
			s.shedWaiting(jobs, &aem.Completion{Outcome: aem.Shed, Exit: -1})
		},
		do: func(j *job, t *control.Touched) { t.Shed = s.jobs.look(j).shed - before[j.id] },
	})
}

// shedWaiting sheds what waits of jobs, for their agents or for another attempt.
func (s *Supervisor) shedWaiting(jobs []*job, c *aem.Completion) {
	pools, meant := s.waitingOf(jobs)
	if len(pools) == 0 {
		return
	}
	for _, p := range pools {
		p.Remove(meant, func(a *aem.Activation) { s.giveUp(a, c) })
	}
	for a, alarm := range s.retries {
		if meant(a) {
			alarm.Stop()
			delete(s.retries, a)
			s.giveUp(a, c)
		}
	}
}
