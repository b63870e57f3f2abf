package source

import (
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/timing"
)

var timerType = Type{
	Name:   "timer",
	Kernel: "the timeout of epoll_pwait2(2), one for all timers",
	Open:   func(e Env) Source { return newTimers(e) },
}

// timers is the source of type timer: all deadlines in one list, and one alarm for the earliest of them.
type timers struct {
	env       Env
	deadlines timing.Deadlines
	jobs      map[aem.JobID]*timer
	alarm     timing.Alarm
	due       func() // expire, made once: a method value made anew costs an allocation
	alarmAt   int64
}

// timer is one started job.
type timer struct {
	every time.Duration // 0: once
	due   int64         // as timing.Now gives it; kept while held
	ref   timing.Ref    // 0 while nothing is waited for
}

// timerBatch bounds the events of one turn; the rest is due at once and taken in the next.
const timerBatch = 256

func newTimers(e Env) *timers {
	s := &timers{env: e, jobs: map[aem.JobID]*timer{}}
	s.due = s.expire
	return s
}

func (s *timers) Start(id aem.JobID, spec Spec) error {
	t, first := spec.(Timer), int64(0)
	if first = int64(t.First); t.Every == 0 {
		first = int64(t.After)
	}
	s.jobs[id] = &timer{every: t.Every, due: timing.Now() + first}
	s.arm(id, s.jobs[id])
	return nil
}

func (s *timers) Stop(id aem.JobID) {
	s.Hold(id)
	delete(s.jobs, id)
}

// Hold keeps when the next event is due: what falls due meanwhile is one late event that counts them all.
func (s *timers) Hold(id aem.JobID) {
	if t := s.jobs[id]; t != nil && t.ref != 0 {
		s.deadlines.Cancel(t.ref)
		t.ref = 0
	}
}

func (s *timers) Resume(id aem.JobID) {
	if t := s.jobs[id]; t != nil && t.ref == 0 && t.due != 0 {
		s.arm(id, t)
	}
}

func (s *timers) Close() { s.alarm.Stop() }

// Kept is how many events of a held job have fallen due.
func (s *timers) Kept(id aem.JobID) uint64 {
	t, now := s.jobs[id], timing.Now()
	switch {
	case t == nil || t.due == 0 || t.due > now:
		return 0
	case t.every == 0:
		return 1
	}
	return uint64((now-t.due)/int64(t.every)) + 1
}

// Next is when a job's next event is due.
func (s *timers) Next(id aem.JobID) (at time.Time, ok bool) {
	t := s.jobs[id]
	if t == nil || t.due == 0 {
		return time.Time{}, false
	}
	return time.Now().Add(time.Duration(t.due - timing.Now())), true
}

func (s *timers) arm(id aem.JobID, t *timer) {
	t.ref = s.deadlines.Add(t.due, uint64(id))
	s.wake()
}

// wake sets the alarm to the earliest deadline.
func (s *timers) wake() {
	at, ok := s.deadlines.Next()
	switch {
	case !ok:
		s.alarm.Stop()
	case !s.alarm.Set() || at < s.alarmAt:
		s.alarmAt = at
		wait := max(0, at-timing.Now()) // what is overdue too is for the next turn, see timerBatch
		s.env.Alarms.After(&s.alarm, time.Duration(wait), s.due)
	}
}

// expire detects what is due.
func (s *timers) expire() {
	now := timing.Now()
	for range timerBatch {
		token, _, ok := s.deadlines.Take(now)
		if !ok {
			break
		}
		s.fire(aem.JobID(token), now)
	}
	s.wake()
}

// fire detects one event and sets the next. Ticks that were missed are counted in the event, never repeated in a
// rush: its count is 1 and the periods gone by since it was due.
func (s *timers) fire(id aem.JobID, now int64) {
	t := s.jobs[id]
	t.ref = 0
	e := s.env.Sink.NewEvent("timer")
	if t.every == 0 {
		t.due = 0
	} else {
		periods := (now-t.due)/int64(t.every) + 1
		e.Count = uint32(min(periods, 1<<32-1))
		t.due += periods * int64(t.every)
		t.ref = s.deadlines.Add(t.due, uint64(id))
	}
	s.env.Sink.Detected(id, e)
}
