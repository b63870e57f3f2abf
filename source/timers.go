package source

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/slab"
	"github.com/aem-exec/aem-exec/internal/timing"
)

var timerType = Type{
	Name: "timer",
	Facts: []Field{
		{"scheduled", aem.FactTime, "when it was due, before `jitter`"},
		{"overrun", aem.FactNumber, "how many more times fell due before it was detected: `count` - 1, as timer_getoverrun(2) has it"},
		{"cookie", aem.FactNumber, "the number that a program registered it with, 0 without one"},
	},
	Kernel: "the timeout of epoll_pwait2(2), one for all timers; timerfd_create(2) with TFD_TIMER_CANCEL_ON_SET tells when the clock is set",
	Linux:  "5.11",
	Open:   func(e Env) Source { return newTimers(e) },
	Merge:  mergeTimers, Merged: "`scheduled` is the newest's, `overrun` counts all that fell due but one",
}

func mergeTimers(into, e *aem.Event) {
	mergeNewest(into, e)
	for i := range into.Facts {
		if f := &into.Facts[i]; f.Name == "overrun" {
			f.Number = int64(into.Count) + int64(e.Count) - 1
		}
	}
}

// timers is the source of type timer. All deadlines of a clock are in one wheel, with one alarm for the earliest; a
// timer is 40 bytes and its deadline 16, without pointers, so that millions cost the garbage collector nothing.
type timers struct {
	env    Env
	timers slab.Slab[timer] // by the job's slot
	clocks map[Clock]*clock
	rules  []rule
	ruleOf map[Timer]uint32 // by what they come of; kept for good, because a program has few
	behind map[uint32]int   // of timers that make up for what they missed: how many times still
	set    clockSet
	taken  [takenAtOnce]uint32
}

// timer is one job's. It is armed while it has a deadline; held when it has none and is due some time; and over when
// neither.
type timer struct {
	first      int64 // after the start; or, absolute, ns since 1970
	every      int64 // 0: not by a period
	due        int64 // on its clock, without jitter; 0: never again
	cookie     uint64
	generation uint32 // of the job; 0: not started
	rule       uint32
}

// clock is all timers that go by one.
type clock struct {
	wheel   *timing.Wheel
	read    func() int64
	frozen  int64 // what it shows within Batch, 0 outside
	alarm   timing.Alarm
	alarmAt int64
	told    int64         // when timers were due last, as timing.Now gives it
	reached int64         // the same by this clock
	pause   time.Duration // from told until others are looked for
	expire  func()        // made once: a method value made anew costs an allocation
}

const (
	// timerBatch bounds the events of one turn; the rest is due at once and taken in the next.
	timerBatch = 256
	// takenAtOnce is how many of them are fetched from memory side by side: each alone would be waited for.
	takenAtOnce = 64
	// timerPause is from when a timer was due to when others are looked for: what falls due within it is told together,
	// however dense timers are. It is what the kernel adds to the waits of any process by default.
	timerPause = 50 * time.Microsecond
	// timerPauseEach is how much longer the pause is for each of the timers that were, and timerPauseMost the longest: the
	// denser they are, the more go with one look.
	timerPauseEach = 10 * time.Microsecond
	timerPauseMost = 250 * time.Microsecond
)

func newTimers(e Env) *timers {
	s := &timers{env: e, clocks: map[Clock]*clock{}, ruleOf: map[Timer]uint32{}, behind: map[uint32]int{}}
	s.rules = append(s.rules, rule{clock: MonotonicClock})
	return s
}

// AsksRoom says that jobs are held one by one, as they fall due.
func (s *timers) AsksRoom() {}

// Keep takes a job's timer.
func (s *timers) Keep(id aem.JobID, spec Spec) error {
	t := spec.(Timer)
	n, at, err := s.rule(&t)
	if err != nil {
		return err
	}
	kept := timer{first: int64(t.After + t.First), every: int64(t.Every), cookie: t.Cookie, rule: n}
	if s.rules[n].absolute {
		kept.first = at.UnixNano()
	}
	*s.timers.Make(id.Slot()) = kept
	return nil
}

// Forget gives it up.
func (s *timers) Forget(id aem.JobID) { *s.timers.Make(id.Slot()) = timer{} }

// plainRule is the rule of timers that state nothing but durations: most, where there are many.
const plainRule = 0

// rule finds a timer's rule, and the time of an absolute one.
func (s *timers) rule(t *Timer) (n uint32, at time.Time, err error) {
	if t.At == "" && t.Cron == "" && t.Jitter == 0 && (t.Clock == "" || t.Clock == MonotonicClock) {
		return plainRule, at, nil
	}
	key := t.shared()
	if n, ok := s.ruleOf[key]; ok && !s.rules[n].absolute {
		return n, at, nil
	}
	r, at, err := t.rule()
	if err != nil {
		return 0, at, err
	}
	if r.absolute {
		key.At, key.Zone = "", "" // they are in the time
	}
	if n, ok := s.ruleOf[key]; ok {
		return n, at, nil
	}
	n = uint32(len(s.rules))
	s.rules, s.ruleOf[key] = append(s.rules, r), n
	return n, at, nil
}

func (s *timers) Start(id aem.JobID, spec Spec) error {
	if spec != nil {
		if err := s.Keep(id, spec); err != nil {
			return err
		}
	}
	slot := id.Slot()
	t := s.timers.Make(slot)
	r := &s.rules[t.rule]
	if r.on == nil {
		c, err := s.clock(r.clock)
		if err != nil {
			return err
		}
		r.on = c
	}
	t.generation = id.Generation() | isStarted
	if t.due = s.firstDue(id, t, r, r.on.now()); t.due != 0 {
		s.arm(slot, t)
	}
	return nil
}

// What the generation of a timer says besides.
const (
	isStarted = 1 << 31 // it is started, so that it is never 0
	isTaken   = 1 << 30 // it is due, and told next; unless it is stopped or held meanwhile
)

// job is who a timer is for.
func (t *timer) job(slot uint32) aem.JobID {
	return aem.NewJobID(slot, t.generation&^(isStarted|isTaken))
}

// firstDue is when a timer that starts now is due.
func (s *timers) firstDue(id aem.JobID, t *timer, r *rule, now int64) int64 {
	if r.calendar == nil && !r.absolute {
		return now + min(t.first, math.MaxInt64-now)
	}
	from := s.looked(id, r, time.Unix(0, now))
	if !r.absolute {
		at, ok := r.calendar.next(from)
		if !ok {
			return 0
		}
		return at.UnixNano()
	}
	if t.first <= from.UnixNano() {
		return 0
	}
	return t.first
}

// looked is until when a job has seen what fell due: now, unless what it missed meanwhile counts.
func (s *timers) looked(id aem.JobID, r *rule, now time.Time) time.Time {
	if !r.remembers() || s.env.Runs == nil {
		return now
	}
	if last, ok := s.env.Runs.Last(id); ok && last.Before(now) {
		return last
	}
	s.env.Runs.Ran(id, now)
	return now
}

// remembers reports whether what passes while nobody runs counts.
func (r *rule) remembers() bool { return r.missed == OneMissed || r.missed == AllMissed }

// ran notes that a job has seen what was due: all of it until now, or, when it wants each, that one.
func (s *timers) ran(id aem.JobID, r *rule, due, now int64, count uint64) {
	switch {
	case s.env.Runs == nil || !r.remembers():
	case r.missed == AllMissed && count == 1:
		s.env.Runs.Ran(id, time.Unix(0, due))
	default:
		s.env.Runs.Ran(id, time.Unix(0, now))
	}
}

func (s *timers) Stop(id aem.JobID) {
	if t := s.started(id); t != nil {
		s.rules[t.rule].on.wheel.Clear(id.Slot())
		delete(s.behind, id.Slot())
		t.due, t.generation = 0, 0
	}
}

// Hold keeps when the next event is due: what falls due meanwhile is one late event that counts them all.
func (s *timers) Hold(id aem.JobID) {
	if t := s.started(id); t != nil {
		s.rules[t.rule].on.wheel.Clear(id.Slot())
		t.generation &^= isTaken
	}
}

func (s *timers) Resume(id aem.JobID) {
	if t := s.started(id); t != nil && t.due != 0 && t.generation&isTaken == 0 {
		if _, armed := s.rules[t.rule].on.wheel.Deadline(id.Slot()); !armed {
			s.arm(id.Slot(), t)
		}
	}
}

// started is a job's timer, nil when it is not started.
func (s *timers) started(id aem.JobID) *timer {
	if t := s.timers.At(id.Slot()); t != nil && t.generation != 0 && t.job(id.Slot()) == id {
		return t
	}
	return nil
}

func (s *timers) Close() {
	for _, c := range s.clocks {
		c.alarm.Stop()
	}
	s.set.close(s.env.Poller)
}

// arm waits for when a timer is due, a little longer with jitter.
func (s *timers) arm(slot uint32, t *timer) {
	r := &s.rules[t.rule]
	at := t.due
	if r.jitter > 0 {
		at += min(rand.Int64N(int64(r.jitter)), math.MaxInt64-at)
	}
	r.on.wheel.Set(slot, at)
	s.wakeAt(r.on, at)
}

// wake sets a clock's alarm to its earliest deadline.
func (s *timers) wake(c *clock) {
	if at, ok := c.wheel.Next(); ok {
		s.wakeAt(c, at)
	} else {
		c.alarm.Stop()
	}
}

// wakeAt sets it to a time, unless it is set to an earlier one.
func (s *timers) wakeAt(c *clock, at int64) {
	if c.alarm.Set() && c.alarmAt <= at {
		return
	}
	c.alarmAt = at
	wait := time.Duration(at - c.now())
	if at > c.reached { // the rest is for the next turn, see timerBatch
		wait = max(wait, c.pause-time.Duration(timing.Now()-c.told))
	}
	s.env.Alarms.After(&c.alarm, max(0, wait), c.expire)
}

// expire detects what is due on a clock.
func (s *timers) expire(c *clock) {
	now, wall := c.now(), time.Now().UnixNano()
	if c == s.clocks[RealtimeClock] {
		wall = now // so that what is scheduled is told to the nanosecond
	}
	c.pause = timerPause
	for range timerBatch / takenAtOnce {
		taken := s.take(c, now)
		if len(taken) > 0 {
			c.told, c.reached = timing.Now(), now
			c.pause = min(c.pause+time.Duration(len(taken))*timerPauseEach, timerPauseMost)
		}
		for _, slot := range taken {
			s.fire(slot, now, wall)
		}
		if len(taken) < takenAtOnce {
			break
		}
	}
	s.wake(c)
}

// take takes the next timers of a clock that are due.
func (s *timers) take(c *clock, now int64) []uint32 {
	taken := s.taken[:0]
	for len(taken) < takenAtOnce {
		slot, _, ok := c.wheel.Take(now)
		if !ok {
			break
		}
		taken = append(taken, slot)
	}
	for _, slot := range taken {
		s.timers.At(slot).generation |= isTaken
	}
	return taken
}

// fire detects one event and sets the next; wall is the time of day at now. Times that were missed are counted in the
// event, never repeated in a rush, unless its job wants each of them.
func (s *timers) fire(slot uint32, now, wall int64) {
	t := s.timers.At(slot)
	if t.generation&isTaken == 0 {
		return
	}
	t.generation &^= isTaken
	id := t.job(slot)
	if !s.env.Sink.Room(id) {
		return // it is held, and due still
	}
	due, r := t.due, &s.rules[t.rule]
	var count uint64
	t.due, count = s.after(slot, t, r, now)
	if t.due != 0 {
		s.arm(slot, t)
	}
	s.ran(id, r, due, now, count)
	e := s.env.Sink.NewEvent("timer")
	e.Count = uint32(min(count, 1<<32-1))
	e.Add(aem.TimeFact("scheduled", wall-(now-due)))
	e.Add(aem.NumberFact("overrun", int64(count-1)))
	e.Add(aem.NumberFact("cookie", int64(t.cookie)))
	s.env.Sink.Detected(id, e)
}

// after is when a timer that is due is due next, and how many times it was until now.
func (s *timers) after(slot uint32, t *timer, r *rule, now int64) (next int64, count uint64) {
	switch {
	case t.every != 0:
		periods := (now-t.due)/t.every + 1
		return t.due + periods*t.every, uint64(periods)
	case r.calendar == nil || r.once:
		return 0, 1
	case r.missed == AllMissed && s.behind[slot] < maxMissed:
		at, ok := r.calendar.next(time.Unix(0, t.due))
		if !ok {
			return 0, 1
		}
		if at.UnixNano() <= now {
			s.behind[slot]++
		} else {
			delete(s.behind, slot)
		}
		return at.UnixNano(), 1
	}
	delete(s.behind, slot)
	return s.passed(t, r, now)
}

// passed is the first time of a calendar after now, and how many from the due one on are not.
func (s *timers) passed(t *timer, r *rule, now int64) (next int64, count uint64) {
	from := time.Unix(0, t.due)
	for count = 1; ; count++ {
		if count == maxMissed {
			from = time.Unix(0, now)
		}
		at, ok := r.calendar.next(from)
		if !ok {
			return 0, count
		}
		if next = at.UnixNano(); next > now {
			return next, count
		}
		from = at
	}
}

// Kept is how many times of a held job have passed.
func (s *timers) Kept(id aem.JobID) uint64 {
	t := s.started(id)
	if t == nil || t.due == 0 {
		return 0
	}
	r := &s.rules[t.rule]
	now := r.on.now()
	switch {
	case t.due > now:
		return 0
	case t.every != 0:
		return uint64((now-t.due)/t.every) + 1
	case r.calendar == nil || r.once:
		return 1
	}
	_, count := s.passed(t, r, now)
	return count
}

// Next is when a job's next event is due.
func (s *timers) Next(id aem.JobID) (at time.Time, ok bool) {
	times := s.Upcoming(id, 1)
	if len(times) == 0 {
		return at, false
	}
	return times[0], true
}

// Upcoming is when a job's next events are due, at most n.
func (s *timers) Upcoming(id aem.JobID, n int) []time.Time {
	t := s.started(id)
	if t == nil || t.due == 0 {
		return nil
	}
	r := &s.rules[t.rule]
	first := time.Unix(0, t.due)
	if r.clock != RealtimeClock {
		first = time.Now().Add(time.Duration(t.due - r.on.now()))
	}
	return r.upcoming(first, time.Duration(t.every), n)
}
