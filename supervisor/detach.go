package supervisor

import (
	"slices"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/source"
)

// parted takes back what a program had registered, whichever way it went. What of it waits is shed at once; its jobs go
// as many in a turn as others can wait for.
func (s *Supervisor) parted(at *attached, why error, done func()) {
	at.gone = true
	delete(s.tokens, at.token)
	at.session.Hangup()
	s.log.Info("detached", "app", at.app.spec.Name, "handler", at.pool.Spec().Name, "jobs", at.live, "why", why)
	s.shedPool(at.pool)
	s.disown(at, func() {
		done()
		s.forgetPool(at.pool)
	})
}

// shedPool sheds what waits of a pool whose jobs are about to be removed.
func (s *Supervisor) shedPool(p *executor.Pool) {
	c := removedCompletion()
	p.Remove(func(*aem.Activation) bool { return true }, func(a *aem.Activation) { s.giveUp(a, c) })
	for a, alarm := range s.retries {
		if s.jobs.registration(s.jobs.get(a.Job)).pool == p {
			alarm.Stop()
			delete(s.retries, a)
			s.giveUp(a, c)
		}
	}
}

// removedCompletion is the fate of what goes with its job.
func removedCompletion() *aem.Completion {
	return &aem.Completion{Outcome: aem.Shed, Reason: aem.ReasonRemoved, Exit: -1}
}

func (s *Supervisor) disown(at *attached, done func()) {
	n := min(len(at.jobs), registerAtOnce)
	for _, id := range at.jobs[:n] {
		if s.jobs.get(id) != nil {
			s.remove(id)
		}
	}
	if at.jobs = at.jobs[n:]; len(at.jobs) == 0 {
		done()
		return
	}
	s.Post(func() { s.disown(at, done) })
}

// forgetPool takes a pool off every list. Nothing waits or runs in it.
func (s *Supervisor) forgetPool(p *executor.Pool) {
	same := func(other *executor.Pool) bool { return other == p }
	s.pools = slices.DeleteFunc(s.pools, same)
	s.active = slices.DeleteFunc(s.active, same)
	delete(s.owners, p)
	delete(s.down, p)
	delete(s.troubled, p)
}

// forget takes a removed job off the program's lists.
func (at *attached) forget(s *Supervisor, reg *registration) {
	if at.live--; reg.jobs == 0 {
		delete(at.registrations, reg.key)
		s.jobs.undeclare(reg)
		if ready, ok := reg.spec.Source.(source.Ready); ok && ready.Own != nil {
			at.app.letGo(s, ready.Own.FD)
		}
	}
	if !at.gone && len(at.jobs) > 2*at.live+registerAtOnce {
		at.jobs = slices.DeleteFunc(at.jobs, func(id aem.JobID) bool { return s.jobs.get(id) == nil })
	}
}
