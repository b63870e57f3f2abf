package supervisor

import (
	"math"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
)

// What becomes of an arrival when all agents of its handler are busy. The books hold through all of it: a merged arrival
// has the fate of the activation that it joined, which counts for all; what is skipped or replaced is shed.

// arrive lets a job's rule have an arrival that would have to wait. It reports whether that is the end of it: it has
// joined another one, or is shed.
func (s *Supervisor) arrive(j *job, reg *registration, e *aem.Event) bool {
	waits := s.lastWaiting(j)
	switch {
	case reg.spec.Arrivals == SkipArrival:
		s.shed(j, reg, e)
		return true
	case waits == nil:
	case reg.spec.Arrivals == ReplaceArrival:
		reg.pool.Remove(func(a *aem.Activation) bool { return a == waits }, func(a *aem.Activation) {
			s.giveUp(a, &aem.Completion{Outcome: aem.Shed, Exit: -1})
		})
	case uint64(waits.Event.Count)+uint64(e.Count) <= math.MaxUint32:
		s.merge(j, reg, waits, e)
		return true
	}
	return false
}

// lastWaiting is a job's activation that was queued last, if nobody has it yet.
func (s *Supervisor) lastWaiting(j *job) *aem.Activation {
	a := s.latest[j.id]
	if a == nil || !a.Queued || a.Job != j.id || a.Attempt > 0 {
		return nil
	}
	return a
}

// shed gives an arrival up by a rule that the app wrote.
func (s *Supervisor) shed(j *job, reg *registration, e *aem.Event) {
	s.jobs.rest(j).shed += uint64(e.Count)
	c := &aem.Completion{Outcome: aem.Shed, Exit: -1}
	s.note("shed", j.id, reg, e, nil, c)
	s.tell(e.ID, c, reg.name)
	if reg.had(j) {
		s.endJob(j, reg)
	}
	dismiss(e, c)
}

// merge has an arrival join an activation that waits.
func (s *Supervisor) merge(j *job, reg *registration, a *aem.Activation, e *aem.Event) {
	if a.Event.Users > 1 {
		s.makeOwn(a)
	}
	into := a.Event
	reg.merge(into, e)
	into.Count += e.Count
	into.Last = e.Time
	j.waiting += uint64(e.Count)
	s.note("merged", j.id, reg, e, a, nil)
	if s.waiters[e.ID] != nil {
		s.joined[a] = append(s.joined[a], e.ID)
	}
	bytes := executor.BytesOf(into)
	reg.app.gauges.bytes.Add(bytes - a.Bytes)
	if a.Bytes = bytes; !reg.app.gauges.bytes.Room(1) {
		s.holdAtLimit(reg.app, &reg.app.gauges.bytes, e.Type)
	}
}

// makeOwn gives an activation an event of its own, as other jobs have the one that it has.
func (s *Supervisor) makeOwn(a *aem.Activation) {
	shared := a.Event
	own := take(&s.recycled.events)
	*own = *shared
	own.SetFacts(shared.Facts) // they may lie in the other one
	own.Users = 1
	shared.Users--
	a.Event = own
}

// tellJoined tells the fate of an activation to who waits for that of an arrival which joined it.
func (s *Supervisor) tellJoined(a *aem.Activation, c *aem.Completion, job func() string) {
	for _, id := range s.joined[a] {
		s.tell(id, c, job)
	}
	delete(s.joined, a)
}
