package timing

import "time"

// origin is what Now counts from: an hour before the program began, so that 0 is never now.
var origin = time.Now().Add(-time.Hour)

// Now is the time in nanoseconds, by CLOCK_MONOTONIC. It is read without a system call (man 7 vdso), which reading it
// through golang.org/x/sys would cost, several times for each event.
func Now() int64 { return int64(time.Since(origin)) }

// At is when t was, as Now would have given it.
func At(t time.Time) int64 { return int64(t.Sub(origin)) }

// Alarms calls functions when their time has come. The zero value is ready.
type Alarms struct {
	deadlines Deadlines
	set       []*Alarm // by place; nil: free
	free      []int
}

// Alarm is one call to come; its zero value is none. It lies where its owner wants it and must not be copied while it
// is set. It may be stopped at any time.
type Alarm struct {
	alarms *Alarms
	call   func()
	place  int
	ref    Ref
}

// After sets a to call f once, d from now. An alarm already set is stopped first.
func (s *Alarms) After(a *Alarm, d time.Duration, f func()) {
	a.Stop()
	place := len(s.set)
	if n := len(s.free); n > 0 {
		place, s.free = s.free[n-1], s.free[:n-1]
	} else {
		s.set = append(s.set, nil)
	}
	s.set[place] = a
	*a = Alarm{s, f, place, s.deadlines.Add(Now()+int64(d), uint64(place))}
}

// Stop forgets the call, if it has not been made.
func (a *Alarm) Stop() {
	if a.ref == 0 {
		return
	}
	a.alarms.deadlines.Cancel(a.ref)
	a.alarms.release(a.place)
	a.ref = 0
}

// Set reports whether the call is still to come.
func (a *Alarm) Set() bool { return a.ref != 0 }

func (s *Alarms) release(place int) {
	s.set[place] = nil
	s.free = append(s.free, place)
}

// Next is when the next call is due.
func (s *Alarms) Next() (at int64, ok bool) { return s.deadlines.Next() }

// Run makes the calls that are due at now; those that they set are due later.
func (s *Alarms) Run(now int64) {
	for {
		token, _, ok := s.deadlines.Take(now)
		if !ok {
			return
		}
		a := s.set[token]
		s.release(int(token))
		a.ref = 0 // taken: Stop must not touch whoever has the place next
		a.call()
	}
}
