package main

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/aem-exec/aem-exec/aem"
)

// What falls due for timer.late: so many timers in lateWithin, from lateFrom on.
const (
	lateTimers = 50_000
	lateFrom   = 200 * time.Millisecond
	lateWithin = time.Second
)

// benchLate measures how long after its time a timer fires, while others do: ours and time.AfterFunc's.
func benchLate(b *bench) ([]row, error) {
	own, err := newSourceTimers()
	if err != nil {
		return nil, err
	}
	defer own.close()
	r, err := interleave(timerTurns, contender{"source", own.late}, contender{"AfterFunc", lateAfterFunc})
	return r.rows("timer.late", "ns", "source", "AfterFunc"), err
}

func lateDurations() []time.Duration {
	in := make([]time.Duration, lateTimers)
	for i := range in {
		in[i] = lateFrom + rand.N(lateWithin)
	}
	return in
}

// late is how late each timer is detected: its own event has when it was due.
func (s *sourceTimers) late() ([]float64, error) {
	late := make([]float64, 0, lateTimers)
	s.detected = func(e *aem.Event) {
		for _, f := range e.Facts {
			if f.Name == "scheduled" {
				late = append(late, float64(time.Now().UnixNano()-f.Number))
			}
		}
	}
	defer func() { s.detected = nil }()
	s.prepare(lateDurations())
	s.add()
	err := s.fire(lateTimers)
	return late, err
}

// lateAfterFunc is the same of time.AfterFunc.
func lateAfterFunc() ([]float64, error) {
	late := make([]float64, lateTimers)
	var fired atomic.Int64
	for i, d := range lateDurations() {
		due := time.Now().Add(d)
		time.AfterFunc(d, func() {
			late[i] = float64(time.Since(due))
			fired.Add(1)
		})
	}
	for fired.Load() < lateTimers {
		time.Sleep(10 * time.Millisecond)
	}
	return late, nil
}
