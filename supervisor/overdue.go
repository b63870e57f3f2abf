package supervisor

import (
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/timing"
)

// An activation is overdue when it has not started within its registration's deadline, which is told, or when it has
// waited so long that it is not worth running any more: then it expires. None starts after that, because a pool looks
// before it runs one; for those that wait behind others there is an alarm for each registration.

// leastOverdue is how often at most the activations of a registration are looked through, and overdueParts how exact
// that is beyond it: a part of the time itself.
const (
	leastOverdue = time.Millisecond
	overdueParts = 16
)

// watchOverdue has the alarm set for an activation that begins to wait.
func (s *Supervisor) watchOverdue(reg *registration, a *aem.Activation) {
	if reg.spec.Expire == 0 && reg.spec.Deadline == 0 {
		return
	}
	if expire := reg.spec.Expire; expire > 0 && a.Expires == 0 {
		a.Expires = a.Activated + int64(expire)
	}
	if at := reg.overdueAt(a); at != 0 && !reg.overdue.Set() {
		s.overdueAt(reg, at)
	}
}

// overdueAt is when an activation that waits is to be looked at next, 0 for never.
func (r *registration) overdueAt(a *aem.Activation) (at int64) {
	if r.spec.Deadline > 0 && !a.Late && a.Attempt == 0 {
		at = a.Activated + int64(r.spec.Deadline)
	}
	if a.Expires != 0 && (at == 0 || a.Expires < at) {
		at = a.Expires
	}
	return at
}

func (s *Supervisor) overdueAt(reg *registration, at int64) {
	least := leastOverdue
	for _, d := range []time.Duration{reg.spec.Expire, reg.spec.Deadline} {
		if d > 0 && d/overdueParts > least {
			least = d / overdueParts
		}
	}
	s.alarms.After(&reg.overdue, max(least, time.Duration(at-timing.Now())), func() { s.lookOverdue(reg) })
}

// lookOverdue goes through what waits of a registration, in its queue and for another attempt.
func (s *Supervisor) lookOverdue(reg *registration) {
	now, next := timing.Now(), int64(0)
	overdue := func(a *aem.Activation) (expired bool) {
		if j := s.jobs.get(a.Job); s.jobs.registration(j) != reg {
			return false
		}
		if a.Attempt == 0 {
			s.missed(reg, a, now)
		}
		if a.Expires != 0 && a.Expires < now {
			return true
		}
		if at := reg.overdueAt(a); at != 0 && (next == 0 || at < next) {
			next = at
		}
		return false
	}
	expired := &aem.Completion{Outcome: aem.Expired, Exit: -1}
	reg.pool.Remove(overdue, func(a *aem.Activation) { s.giveUp(a, expired) })
	for a, alarm := range s.retries {
		if overdue(a) {
			alarm.Stop()
			delete(s.retries, a)
			s.giveUp(a, expired)
		}
	}
	if next != 0 {
		s.overdueAt(reg, next)
	}
}

// Expired takes an activation that its pool found too late to run.
func (s *Supervisor) Expired(_ *executor.Pool, a *aem.Activation) {
	s.giveUp(a, &aem.Completion{Outcome: aem.Expired, Exit: -1})
}

// missed counts and tells, once, that an activation has not started within its deadline.
func (s *Supervisor) missed(reg *registration, a *aem.Activation, now int64) {
	waited := time.Duration(now - a.Activated)
	if reg.spec.Deadline == 0 || a.Late || waited <= reg.spec.Deadline {
		return
	}
	a.Late = true
	s.jobs.rest(s.jobs.get(a.Job)).missed += uint64(a.Event.Count)
	if !isNotice(a.Event.Type) {
		s.notify("supervisor.deadline", reg.app, nil, text("job", reg.name()), text("late", a.Event.ID.String()),
			aem.NumberFact("deadline_us", reg.spec.Deadline.Microseconds()), aem.NumberFact("waited_us", waited.Microseconds()))
	}
}
