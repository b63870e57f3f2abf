package source

import (
	"errors"
	"fmt"
	"time"
)

// Timer asks for an event when time has come: exactly one of After, Every, At and Cron.
type Timer struct {
	After time.Duration // once, so long after its job's start
	Every time.Duration // so often, the first one First after the start
	First time.Duration
	At    string // once, at a time or a time of day
	Cron  string // at times of a calendar

	Clock  Clock  // of After and Every; the others go by RealtimeClock
	Zone   string // of At and Cron; "": the local one
	DST    DST    // of Cron
	Missed Missed // of At and Cron
	Jitter time.Duration
	Cookie uint64 // comes back with each event: for a program that registers many
}

// Clock is what a timer goes by.
type Clock string

// The clocks, man 2 clock_gettime.
const (
	MonotonicClock Clock = "monotonic" // stands still while the machine sleeps
	RealtimeClock  Clock = "realtime"  // the time of day, which people and programs set
	BoottimeClock  Clock = "boottime"  // like monotonic, and goes on while the machine sleeps
)

// Missed is what happens to times of At and Cron that passed while the job was not started, or nobody ran.
type Missed string

// The rules.
const (
	SkipMissed Missed = "skip" // nothing
	OneMissed  Missed = "one"  // one event, which counts them
	AllMissed  Missed = "all"  // an event for each, at most maxMissed of them
)

// maxMissed bounds how many times of a calendar that passed are made up for one by one, and how far they are counted in
// one event: what is beyond is in the last of them.
const maxMissed = 1000

// minEvery bounds how much of the machine one timer can ask for.
const minEvery = time.Millisecond

// Type is "timer".
func (Timer) Type() string { return "timer" }

func (t Timer) check() error {
	kinds := 0
	for _, given := range []bool{t.After != 0, t.Every != 0, t.At != "", t.Cron != ""} {
		if given {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return errors.New("a timer wants exactly one of after, every, at, cron")
	case t.After < 0, t.Every < 0, t.First < 0, t.Jitter < 0:
		return errors.New("a timer's durations are not negative")
	case t.Every != 0 && t.Every < minEvery:
		return fmt.Errorf("every is at least %v", minEvery)
	}
	_, _, err := t.rule()
	return err
}

// CheckCron reports what is wrong with a calendar expression.
func CheckCron(expr string) error {
	_, err := parseCron(expr)
	return err
}

// CheckAt reports what is wrong with a time or a time of day.
func CheckAt(at string) error {
	_, _, err := parseAt(at, time.UTC)
	return err
}

// rule is how timers find their next times, but for their durations: many share one.
type rule struct {
	clock    Clock
	on       *clock // all timers that go by it; nil until one has started
	jitter   time.Duration
	missed   Missed
	calendar calendar // nil: by durations, or absolute
	absolute bool     // at a time
	once     bool     // of a calendar
}

// rule is that of the timer, and the time of an absolute one. It finds the zone, which reads a file.
func (t *Timer) rule() (r rule, at time.Time, err error) {
	r = rule{clock: t.Clock, missed: t.Missed, jitter: t.Jitter}
	if r.clock == "" {
		r.clock = MonotonicClock
	}
	if t.At == "" && t.Cron == "" {
		return r, at, nil
	}
	r.clock = RealtimeClock
	zone, err := loadZone(t.Zone)
	if err != nil {
		return r, at, err
	}
	if t.Cron != "" {
		expr, err := parseCron(t.Cron)
		r.calendar = &cronCalendar{expr, zone, t.DST}
		return r, at, err
	}
	at, r.calendar, err = parseAt(t.At, zone)
	r.once, r.absolute = r.calendar != nil, r.calendar == nil
	return r, at, err
}

// shared is what of a timer its rule comes of.
func (t Timer) shared() Timer {
	t.After, t.Every, t.First, t.Cookie = 0, 0, 0, 0
	return t
}

// Upcoming is the next times of a timer that starts at a time, at most n.
func (t Timer) Upcoming(now time.Time, n int) []time.Time {
	r, at, err := t.rule()
	if err != nil {
		return nil
	}
	first := now.Add(t.First + t.After)
	switch {
	case r.absolute && !at.After(now):
		return nil
	case r.absolute:
		first = at
	case r.calendar != nil:
		var ok bool
		if first, ok = r.calendar.next(now); !ok {
			return nil
		}
	}
	return r.upcoming(first, t.Every, n)
}

// upcoming is a timer's times from the first one on, at most n.
func (r *rule) upcoming(first time.Time, every time.Duration, n int) []time.Time {
	times := []time.Time{first}
	for len(times) < n {
		last := times[len(times)-1]
		switch {
		case every != 0:
			times = append(times, last.Add(every))
		case r.calendar == nil || r.once:
			return times
		default:
			next, ok := r.calendar.next(last)
			if !ok {
				return times
			}
			times = append(times, next)
		}
	}
	return times
}
