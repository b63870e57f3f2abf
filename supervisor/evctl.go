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
	var refused error
	reply := s.withJobs(peer, req, func(jobs []*job) any {
		for _, j := range jobs {
			reg := s.jobs.registration(j)
			if most := reg.app.spec.Limits.PriorityMax; int(*req.Priority) > most {
				refused = control.Errorf(syscall.EPERM, "priority: %s: %d is above the app's %d (limits.priority_max)", reg.name(), *req.Priority, most)
				return nil
			}
		}
		return s.touched(jobs, func(j *job, _ *control.Touched) { s.setPriority(j, *req.Priority) })
	})
	if refused != nil {
		return refusal(req.Op, refused)
	}
	return reply
}

func (s *Supervisor) setPriority(j *job, p aem.Priority) {
	j.priority = p
	s.jobs.registration(j).pool.Reorder(j.id, p)
	for a := range s.retries {
		if a.Job == j.id {
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
	return s.touch(peer, req, func(j *job, _ *control.Touched) { s.jobs.registration(j).timeout = timeout })
}

// noTimeout is a timeout that takes the handler's own away.
const noTimeout = time.Duration(-1)

// answerFilter gives jobs another filter, for what is detected from now on. None is changed unless the expression is right
// for the events of all of them.
func (s *Supervisor) answerFilter(_ context.Context, peer control.Peer, req control.Request) control.Reply {
	var refused error
	reply := s.withJobs(peer, req, func(jobs []*job) any {
		filters := map[string]*filter.Filter{} // by type
		for _, j := range jobs {
			reg := s.jobs.registration(j)
			typ := reg.spec.Source.Type()
			if _, made := filters[typ]; made {
				continue
			}
			if filters[typ], refused = compileFilter(*req.Filter, typ); refused != nil {
				refused = control.Errorf(syscall.EINVAL, "filter: %s: %v", reg.name(), refused)
				return nil
			}
		}
		return s.touched(jobs, func(j *job, _ *control.Touched) {
			j.narrowed = true
			s.narrowed[j.id] = filters[s.jobs.registration(j).spec.Source.Type()]
		})
	})
	if refused != nil {
		return refusal(req.Op, refused)
	}
	return reply
}

// answerClean sheds what waits of jobs; the jobs stay as they are.
func (s *Supervisor) answerClean(_ context.Context, peer control.Peer, req control.Request) control.Reply {
	return s.touch(peer, req, func(j *job, t *control.Touched) { t.Shed = s.clean(j) })
}

func (s *Supervisor) clean(j *job) uint64 {
	return s.shedWaiting(j, &aem.Completion{Outcome: aem.Shed, Exit: -1})
}

// shedWaiting sheds what waits of a job, for its agent or for another attempt, and returns how many events that were.
func (s *Supervisor) shedWaiting(j *job, c *aem.Completion) (shed uint64) {
	if j.waiting == 0 {
		return 0
	}
	before := s.jobs.look(j).shed
	s.jobs.registration(j).pool.Remove(func(a *aem.Activation) bool { return a.Job == j.id }, func(a *aem.Activation) { s.giveUp(a, c) })
	for a, alarm := range s.retries {
		if a.Job == j.id {
			alarm.Stop()
			delete(s.retries, a)
			s.giveUp(a, c)
		}
	}
	return s.jobs.look(j).shed - before
}
