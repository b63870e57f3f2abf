package supervisor

import (
	"bytes"
	"cmp"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/timing"
	"github.com/aem-exec/aem-exec/source"
)

// What goes wrong on the way to a handler is the app's to decide: the data of an event cannot be given to any process,
// events are lost, detection fails. Each is an event of type supervisor.error, and the reply to it is the decision. Where
// nobody is there to reply, or says nothing of use, the app's default decides. The handlers' own failures are no such
// thing: those have their fates.

// Decision is what an app wants done about an error.
type Decision string

// The decisions. The zero Decision is SkipError, but RetryError where a handler has no memory at the moment.
const (
	RetryError Decision = "retry" // once more: another attempt at the event, by its handler's backoff and while it has one left
	SkipError  Decision = "skip"  // go on: the event has failed
	StopError  Decision = "stop"  // stop the job: the event has failed
)

// Decisions are all of them.
var Decisions = []Decision{RetryError, SkipError, StopError}

// decisionWait is how long a decision is waited for.
const decisionWait = 30 * time.Second

// question is one error that an app is asked about. The alarm is set as long as it is open.
type question struct {
	s       *Supervisor
	alarm   timing.Alarm
	usual   Decision // by default
	decided func(Decision)
}

// consult asks a job's app about an error: what went wrong, with which event, if with one, and why. It is called in the
// middle of other things: the question is put in the next round of alarms, and what was decided is told in a later one.
func (s *Supervisor) consult(reg *registration, what string, e *aem.Event, why string, usual Decision, decided func(Decision)) *question {
	q := &question{s: s, usual: cmp.Or(reg.app.spec.OnError, usual), decided: decided}
	id, lost := "", int64(0)
	if e != nil {
		id, lost = e.ID.String(), e.Lost
	}
	facts := []aem.Fact{text("subject", reg.app.spec.Name), text("job", reg.name()), text("what", what), text("failed", id),
		text("error", why), aem.NumberFact("lost", lost)}
	s.alarms.After(&q.alarm, 0, func() { s.put(q, facts) })
	return q
}

// put puts a question, and answers it where nobody is there who would.
func (s *Supervisor) put(q *question, facts []aem.Fact) {
	src, ok := s.sources["supervisor.error"]
	if !ok || s.phase != running || !src.(*source.Notices).Ask(q, facts...) {
		q.decided(q.usual)
		return
	}
	s.alarms.After(&q.alarm, decisionWait, func() { q.decided(q.usual) })
}

// Ended takes the answer, from whoever gives the first.
func (q *question) Ended(_ *aem.Event, c *aem.Completion) {
	if !q.alarm.Set() {
		return
	}
	decision := q.usual
	for _, d := range Decisions {
		if c.Outcome == aem.Done && string(bytes.TrimSpace(c.Reply)) == string(d) {
			decision = d
		}
	}
	q.s.alarms.After(&q.alarm, 0, func() { q.decided(decision) })
}

// consultUnfit asks about an activation that no process can be given as it is, or not now. It waits meanwhile as one that is
// tried again.
func (s *Supervisor) consultUnfit(reg *registration, a *aem.Activation, c aem.Completion) {
	what, usual := "data", SkipError
	if c.Outcome == aem.Retry {
		what, usual = "memory", RetryError
	}
	c.Outcome, c.Reply = aem.Failed, nil
	q := s.consult(reg, what, a.Event, c.Err, usual, func(d Decision) {
		delete(s.retries, a)
		h := reg.pool.Spec()
		switch {
		case d == RetryError && int(a.Attempt) <= h.Retries:
			wait := h.Backoff.Next(int(a.Attempt))
			s.report(reg, a, &c, h, wait)
			s.note("retry", a.Job, reg, a.Event, a, &c)
			s.retryLater(reg, a, wait)
			return
		case d == StopError:
			s.stop(a.Job)
		}
		s.giveUp(a, &c)
	})
	s.retries[a] = &q.alarm // whoever takes it from there stops the alarm, and with that the question
	s.watchOverdue(reg, a)
}

// consultSource asks about what goes wrong in detection, which goes on unless the job is stopped for it.
func (s *Supervisor) consultSource(id aem.JobID, what string, e *aem.Event, why string) {
	reg := s.jobs.registration(s.jobs.get(id))
	if isNotice(reg.spec.Source.Type()) {
		return
	}
	s.consult(reg, what, e, why, SkipError, func(d Decision) {
		if d == StopError && s.jobs.get(id) != nil {
			s.stop(id)
		}
	})
}
