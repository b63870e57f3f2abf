package source

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/timing"
)

func startTimer(t *testing.T, s Source, id aem.JobID, spec Timer) {
	t.Helper()
	if err := s.Start(id, spec); err != nil {
		t.Fatal(err)
	}
}

// ticks is how many times the timers fell due, by the counts of what was detected.
func (d *desk) ticks() (n int) {
	for _, e := range d.detected {
		n += int(e.Count)
	}
	return n
}

func TestTimerAfter_R107(t *testing.T) {
	d, s := newDesk(t, "timer")
	began := time.Now()
	startTimer(t, s, 1, Timer{After: 3 * time.Millisecond})
	if at, ok := s.(*timers).Next(1); !ok || at.Sub(began) < 2*time.Millisecond {
		t.Errorf("next in %v, %t", at.Sub(began), ok)
	}
	d.events(t, 1)
	if took := d.detected[0].Time.Sub(began); took < 3*time.Millisecond {
		t.Errorf("detected after %v", took)
	}
	if e := d.detected[0]; e.job != 1 || e.Type != "timer" || e.Count != 1 || e.FD != -1 {
		t.Errorf("event %+v", e)
	}
	if at, ok := s.(*timers).Next(1); ok {
		t.Errorf("next at %v, after the only one", at)
	}
	if _, ok := d.alarms.Next(); ok {
		t.Error("an alarm is left")
	}
}

// TestTimerEvery_R107_R120: each period is in exactly one event, whenever the loop came to look.
func TestTimerEvery_R107_R120(t *testing.T) {
	d, s := newDesk(t, "timer")
	const every, first = 2 * time.Millisecond, 6 * time.Millisecond
	began := time.Now()
	startTimer(t, s, 1, Timer{Every: every, First: first})
	due := s.(*timers).timers.At(1).due
	d.until(t, "ten times due", func() bool { return d.ticks() >= 10 })
	if took := d.detected[0].Time.Sub(began); took < first {
		t.Errorf("the first after %v, want %v", took, first)
	}
	if at := s.(*timers).timers.At(1).due; at != due+int64(d.ticks())*int64(every) {
		t.Errorf("%d ticks, but the next is %v after the first", d.ticks(), time.Duration(at-due))
	}
	if last := d.detected[len(d.detected)-1].Time.Sub(began); last < first+time.Duration(d.ticks()-1)*every {
		t.Errorf("%d ticks within %v", d.ticks(), last)
	}
}

func TestTimerFirstIsNowUnlessItIsGiven(t *testing.T) {
	d, s := newDesk(t, "timer")
	startTimer(t, s, 1, Timer{Every: time.Hour})
	d.events(t, 1)
	if at, ok := s.(*timers).Next(1); !ok || time.Until(at) < 59*time.Minute {
		t.Errorf("next at %v, %t", at, ok)
	}
}

// pass lets time pass until a held timer fell due so often.
func pass(t *testing.T, d *desk, s Source, id aem.JobID, times uint64) {
	t.Helper()
	n := len(d.detected)
	for end := time.Now().Add(patience); s.(*timers).Kept(id) < times; d.turn(t, time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("kept %d, want %d", s.(*timers).Kept(id), times)
		}
	}
	if len(d.detected) != n {
		t.Fatalf("%d events were detected of held timers", len(d.detected)-n)
	}
}

func TestHeldTimerKeepsWhatFallsDue_R094(t *testing.T) {
	d, s := newDesk(t, "timer")
	startTimer(t, s, 1, Timer{Every: time.Millisecond, First: time.Millisecond})
	startTimer(t, s, 2, Timer{After: time.Millisecond})
	startTimer(t, s, 3, Timer{After: time.Hour})
	for id := range aem.JobID(4) { // 0 is no job
		s.Hold(id)
		s.Hold(id)
	}
	pass(t, d, s, 1, 5)
	kept := s.(*timers).Kept(1)
	for id, want := range map[aem.JobID]uint64{2: 1, 3: 0, 4: 0} {
		if got := s.(*timers).Kept(id); got != want {
			t.Errorf("job %v kept %d, want %d", id, got, want)
		}
	}
	for id := range aem.JobID(4) {
		s.Resume(id)
		s.Resume(id)
	}
	byJob := map[aem.JobID]uint64{}
	d.then = func(e detected) {
		if byJob[e.job] == 0 {
			byJob[e.job] = uint64(e.Count)
		}
	}
	d.until(t, "detected", func() bool { return len(byJob) == 2 })
	if byJob[1] < kept || byJob[2] != 1 {
		t.Errorf("counts %v, want at least %d of job 1 and 1 of job 2", byJob, kept)
	}
	if got := s.(*timers).Kept(1); got > 1 {
		t.Errorf("kept %d after it was told", got)
	}
}

func TestTimerStoppedInsideDetectedIsOver_R027(t *testing.T) {
	for name, spec := range map[string]Timer{"after": {After: time.Nanosecond}, "every": {Every: time.Millisecond}} {
		t.Run(name, func(t *testing.T) {
			d, s := newDesk(t, "timer")
			startTimer(t, s, 1, spec)
			startTimer(t, s, 2, spec)
			d.then = func(detected) { s.Stop(1); s.Stop(2) }
			d.events(t, 1)
			if _, ok := d.alarms.Next(); ok {
				d.quiet(t, 3*time.Millisecond) // the alarm of a stopped timer finds nothing
			}
			if deadlines := s.(*timers).clocks[MonotonicClock].wheel.Len(); deadlines != 0 {
				t.Errorf("%d deadlines are left", deadlines)
			}
		})
	}
}

func TestTimerHeldInsideDetectedGoesOn(t *testing.T) {
	d, s := newDesk(t, "timer")
	startTimer(t, s, 1, Timer{Every: time.Millisecond})
	d.then = func(detected) { s.Hold(1) }
	d.events(t, 1)
	pass(t, d, s, 1, 3)
	s.Resume(1)
	d.events(t, 2)
	if n := d.detected[1].Count; n < 3 {
		t.Errorf("the second counts %d", n)
	}
}

// TestTimerHeldByTheEventBeforeIt_R027: what is due at the same time is taken together, and still each may be held by an
// event before it; resumed at once or later, it is detected once.
func TestTimerHeldByTheEventBeforeIt_R027(t *testing.T) {
	for name, then := range map[string]func(d *desk, s Source, other aem.JobID){
		"resumed only":    func(_ *desk, s Source, other aem.JobID) { s.Resume(other) },
		"resumed at once": func(_ *desk, s Source, other aem.JobID) { s.Hold(other); s.Resume(other) },
		"resumed later": func(d *desk, s Source, other aem.JobID) {
			s.Hold(other)
			d.post(func() {
				if n := len(d.detected); n != 1 {
					t.Errorf("%d events before it was resumed", n)
				}
				s.Resume(other)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, s := newDesk(t, "timer")
			startTimer(t, s, 1, Timer{After: time.Nanosecond})
			startTimer(t, s, 2, Timer{After: time.Nanosecond})
			d.then = func(e detected) {
				d.then = nil
				then(d, s, 3-e.job)
			}
			d.until(t, "detected", func() bool { return len(d.detected) >= 2 })
			d.quiet(t, 3*time.Millisecond)
			if d.detected[0].job+d.detected[1].job != 3 {
				t.Errorf("jobs %v and %v", d.detected[0].job, d.detected[1].job)
			}
		})
	}
}

// TestManyTimersFireInOrder_R032: however many wait, the loop has one alarm.
func TestManyTimersFireInOrder_R032(t *testing.T) {
	d, s := newDesk(t, "timer")
	const many = 10_000
	due := make([]int64, many)
	for _, i := range rand.Perm(many) {
		startTimer(t, s, aem.JobID(i), Timer{After: 20*time.Millisecond + time.Duration(i)*2*time.Microsecond})
		due[i] = s.(*timers).timers.At(uint32(i)).due
	}
	d.events(t, many)
	seen := make([]bool, many)
	for i, e := range d.detected {
		if seen[e.job] {
			t.Fatalf("timer %d fired twice", e.job)
		}
		seen[e.job] = true
		if i > 0 && due[e.job] < due[d.detected[i-1].job] {
			t.Fatalf("timer %d fired after one that was due later", e.job)
		}
		if e.Time.Before(d.detected[0].Time) {
			t.Fatal("time goes back")
		}
	}
}

// TestDenseTimersAreToldTogether_R031: however close together they are due, the loop looks for them once in a pause.
func TestDenseTimersAreToldTogether_R031(t *testing.T) {
	d, s := newDesk(t, "timer")
	const dense = takenAtOnce - 1 // else the rest is told at once
	for id := range aem.JobID(dense) {
		startTimer(t, s, id, Timer{After: time.Millisecond + time.Duration(id)*15*time.Microsecond})
	}
	c := s.(*timers).clocks[MonotonicClock]
	var told []int64
	d.then = func(detected) {
		if n := len(told); n == 0 || told[n-1] != c.told {
			told = append(told, c.told)
		}
	}
	d.events(t, dense)
	for i := 1; i < len(told); i++ {
		if pause := time.Duration(told[i] - told[i-1]); pause < timerPause {
			t.Fatalf("%d times, once after %v", len(told), pause)
		}
	}
}

// TestTurnOfTimersIsBounded_R031 has many fall due at once: one turn takes its share of them, and the poller is asked
// before the next.
func TestTurnOfTimersIsBounded_R031(t *testing.T) {
	d, s := newDesk(t, "timer")
	for i := range 3 * timerBatch {
		startTimer(t, s, aem.JobID(i), Timer{After: time.Nanosecond})
	}
	for turns := 1; turns <= 3; turns++ {
		d.alarms.Run(timing.Now())
		if want := turns * timerBatch; len(d.detected) != want {
			t.Fatalf("after %d turns %d events, want %d", turns, len(d.detected), want)
		}
	}
}
