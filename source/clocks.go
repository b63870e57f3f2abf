package source

import (
	"fmt"
	"time"

	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/internal/timing"
)

// clockNow reads the clocks, in nanoseconds.
var clockNow = map[Clock]func() int64{
	MonotonicClock: timing.Now,
	RealtimeClock:  func() int64 { return time.Now().UnixNano() },
	BoottimeClock:  sys.Boottime,
}

// clock is the list of all timers that go by a clock, made when the first one starts.
func (s *timers) clock(name Clock) (*clock, error) {
	if c := s.clocks[name]; c != nil {
		return c, nil
	}
	if name != MonotonicClock {
		if err := s.set.open(s); err != nil {
			return nil, err
		}
	}
	read := clockNow[name]
	c := &clock{read: read, wheel: timing.NewWheel(read())}
	c.expire = func() { s.expire(c) }
	s.clocks[name] = c
	return c, nil
}

// Batch has many jobs started within f at less cost: all of them as of one time.
func (s *timers) Batch(f func()) {
	for _, c := range s.clocks {
		c.frozen = c.read()
	}
	f()
	for _, c := range s.clocks {
		c.frozen = 0
	}
}

// now is the time on the clock.
func (c *clock) now() int64 {
	if c.frozen != 0 {
		return c.frozen
	}
	return c.read()
}

// clockSet hears of the clock being set, and of the machine's coming back from sleep. Alarms wait by CLOCK_MONOTONIC, so
// both change how long it still is until a time on another clock.
type clockSet struct {
	fd     int // 0: nobody goes by such a clock
	watch  Watch
	offset int64 // of CLOCK_REALTIME to CLOCK_MONOTONIC when last looked at
}

func (c *clockSet) open(s *timers) (err error) {
	if c.fd != 0 {
		return nil
	}
	fd, err := sys.ClockSet()
	if err != nil {
		return fmt.Errorf("hear of the clock being set: %w", err)
	}
	watch, err := s.env.Poller.Add(fd, sys.EPOLLIN, WatcherFunc(func(uint32) {
		if sys.ClockWasSet(fd) {
			s.clockJumped(clockOffset())
		}
	}))
	if err != nil {
		sys.Close(fd)
		return err
	}
	*c = clockSet{fd, watch, clockOffset()}
	return nil
}

func (c *clockSet) close(p *Poller) {
	if c.fd != 0 {
		p.Remove(c.watch)
		sys.Close(c.fd)
		c.fd = 0
	}
}

func clockOffset() int64 { return time.Now().UnixNano() - timing.Now() }

// correction is how far a clock must be turned back so that what was due by it is due anew: less is a change of the
// hour made by hand, or a small mistake, and what has run before does not run again. cron(8) draws the line there too.
const correction = 3 * time.Hour

// clockJumped sets the alarms anew. What the clock was turned forward over is due at once.
func (s *timers) clockJumped(offset int64) {
	back := s.set.offset - offset
	s.set.offset = offset
	if c := s.clocks[RealtimeClock]; c != nil && back > int64(correction) {
		s.dueAnew(c, back)
	}
	for name, c := range s.clocks {
		if name != MonotonicClock {
			c.alarm.Stop()
			s.wake(c)
		}
	}
}

// dueAnew has what waited by a clock that was far ahead wait by the right one: calendars are asked anew, what counts from
// its job's start has as long to go as it had, and what was due already is due still. Only a time is the same time.
func (s *timers) dueAnew(c *clock, ahead int64) {
	now := c.now()
	for slot, t := range s.timers.All() {
		r := &s.rules[t.rule]
		if t.generation == 0 || t.due == 0 || r.on != c || r.absolute {
			continue
		}
		_, armed := c.wheel.Deadline(slot)
		c.wheel.Clear(slot)
		if t.due -= ahead; t.due > now && r.calendar != nil {
			t.due = 0
			if at, ok := r.calendar.next(time.Unix(0, now)); ok {
				t.due = at.UnixNano()
			}
		}
		if armed && t.due != 0 {
			s.arm(slot, t)
		}
	}
}
