package source

import (
	"errors"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/timing"
)

// faked is a timers source whose time of day is the test's.
func faked(t *testing.T, now time.Time) (*desk, *timers, *time.Time) {
	t.Helper()
	d, s := newDesk(t, "timer")
	timers := s.(*timers)
	at := &now
	c, err := timers.clock(RealtimeClock)
	if err != nil {
		t.Fatal(err)
	}
	c.read = func() int64 { return at.UnixNano() }
	c.wheel = timing.NewWheel(c.now())
	return d, timers, at
}

// pass lets the faked time of day go by, to and as the kernel would tell of it when the clock was set.
func (s *timers) reach(at *time.Time, to time.Time, set bool) {
	by := to.Sub(*at)
	*at = to
	if set {
		s.clockJumped(s.set.offset + int64(by))
	}
	for c := s.clocks[RealtimeClock]; ; {
		due, ok := c.wheel.Next()
		if !ok || due > c.now() {
			return
		}
		c.alarm.Stop()
		s.expire(c)
	}
}

func moment(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// told is what was detected, as the time it was scheduled for and its count.
func (d *desk) told() (all []string) {
	for _, e := range d.detected {
		scheduled := time.Unix(0, e.Facts[0].Number).UTC().Format("15:04")
		overrun, _ := e.Fact("overrun")
		all = append(all, scheduled+"+"+overrun)
	}
	return all
}

func wantTold(t *testing.T, d *desk, want ...string) {
	t.Helper()
	got := d.told()
	if len(got) != len(want) {
		t.Fatalf("told %v, want %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("told %v, want %v", got, want)
		}
	}
}

func TestCronFiresOnTime_R107_R222(t *testing.T) {
	d, s, now := faked(t, moment(t, "2026-03-01T10:07:30Z"))
	startTimer(t, s, 1, Timer{Cron: "*/5 * * * *", Zone: "UTC"})
	s.reach(now, moment(t, "2026-03-01T10:09:59Z"), false)
	wantTold(t, d)
	s.reach(now, moment(t, "2026-03-01T10:10:00Z"), false)
	s.reach(now, moment(t, "2026-03-01T10:15:01Z"), false)
	wantTold(t, d, "10:10+0", "10:15+0")
	if times := s.Upcoming(1, 3); len(times) != 3 || !times[0].Equal(moment(t, "2026-03-01T10:20:00Z")) || !times[2].Equal(moment(t, "2026-03-01T10:30:00Z")) {
		t.Errorf("next %v", times)
	}
}

// TestClockSetForward_R222: what the clock was turned forward over is due at once, in one event or each for itself.
func TestClockSetForward_R222(t *testing.T) {
	d, s, now := faked(t, moment(t, "2026-03-01T10:07:30Z"))
	startTimer(t, s, 1, Timer{Cron: "0 * * * *", Zone: "UTC"})
	startTimer(t, s, 2, Timer{Cron: "0 * * * *", Zone: "UTC", Missed: AllMissed})
	startTimer(t, s, 3, Timer{After: time.Hour, Clock: RealtimeClock})
	startTimer(t, s, 4, Timer{At: "2026-03-01T11:30:00Z"})
	s.reach(now, moment(t, "2026-03-01T13:30:00Z"), true)
	byJob := map[aem.JobID][]string{}
	for i, told := range d.told() {
		byJob[d.detected[i].job] = append(byJob[d.detected[i].job], told)
	}
	if len(byJob[1]) != 1 || byJob[1][0] != "11:00+2" || len(byJob[2]) != 3 || byJob[2][2] != "13:00+0" ||
		len(byJob[3]) != 1 || len(byJob[4]) != 1 {
		t.Errorf("told %v", byJob)
	}
}

// TestClockSetBack_R222: an hour back runs nothing again; a correction of years does not leave a job waiting for them.
func TestClockSetBack_R222(t *testing.T) {
	d, s, now := faked(t, moment(t, "2026-03-01T10:07:30Z"))
	startTimer(t, s, 1, Timer{Cron: "0 * * * *", Zone: "UTC"})
	s.reach(now, moment(t, "2026-03-01T11:00:00Z"), false)
	s.reach(now, moment(t, "2026-03-01T10:00:00Z"), true)
	s.reach(now, moment(t, "2026-03-01T11:59:59Z"), false)
	wantTold(t, d, "11:00+0")
	s.reach(now, moment(t, "2026-03-01T12:00:00Z"), false)
	wantTold(t, d, "11:00+0", "12:00+0")
	s.reach(now, moment(t, "2020-03-01T12:30:00Z"), true)
	s.reach(now, moment(t, "2020-03-01T13:00:00Z"), false)
	wantTold(t, d, "11:00+0", "12:00+0", "13:00+0")
}

// TestClockCorrected_R222: who waited by a clock that was years ahead waits no longer than before it was corrected, and
// what was due by it and held is not lost.
func TestClockCorrected_R222(t *testing.T) {
	d, s, now := faked(t, moment(t, "2030-01-01T00:00:00Z"))
	startTimer(t, s, 1, Timer{Every: time.Hour, First: time.Hour, Clock: RealtimeClock})
	startTimer(t, s, 2, Timer{After: 90 * time.Minute, Clock: RealtimeClock})
	startTimer(t, s, 3, Timer{Cron: "30 * * * *", Zone: "UTC"})
	startTimer(t, s, 4, Timer{At: "2030-01-01T01:00:00Z"})
	s.Hold(3)
	s.reach(now, moment(t, "2030-01-01T00:40:00Z"), false)
	s.reach(now, moment(t, "2026-01-01T12:00:00Z"), true)
	wantTold(t, d)
	s.Resume(3)
	s.reach(now, moment(t, "2026-01-01T12:19:59Z"), false)
	wantTold(t, d, "11:50+0")
	s.reach(now, moment(t, "2026-01-01T12:50:00Z"), false)
	wantTold(t, d, "11:50+0", "12:20+0", "12:30+0", "12:50+0")
	s.reach(now, moment(t, "2026-01-01T13:20:00Z"), false)
	wantTold(t, d, "11:50+0", "12:20+0", "12:30+0", "12:50+0", "13:20+0")
}

// TestTimerIsNeverForTooLong: what is later than can be counted is not in the past.
func TestTimerIsNeverForTooLong(t *testing.T) {
	d, s, now := faked(t, moment(t, "2026-01-01T00:00:00Z"))
	const longest = time.Duration(1<<63 - 1)
	startTimer(t, s, 1, Timer{After: longest, Clock: RealtimeClock})
	startTimer(t, s, 2, Timer{After: longest, Clock: RealtimeClock, Jitter: longest})
	s.reach(now, moment(t, "2200-01-01T00:00:00Z"), false)
	wantTold(t, d)
	for _, at := range []string{"2262-01-01T00:00:00Z", "3000-01-01", "1000-01-01T00:00"} {
		if err := CheckAt(at); err == nil {
			t.Errorf("%s is taken", at)
		}
	}
}

// TestKernelTellsOfASetClock_R222 sets the clock forward by a nanosecond.
func TestKernelTellsOfASetClock_R222(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	d, s := newDesk(t, "timer")
	startTimer(t, s, 1, Timer{After: time.Hour, Clock: RealtimeClock})
	timers := s.(*timers)
	timers.set.offset = 0 // which it never is; the offset before may be that after, as exactly as it can be read
	if err := nudgeClock(); err != nil {
		t.Fatal(err)
	}
	d.until(t, "told", func() bool { return timers.set.offset != 0 })
	if c := timers.clocks[RealtimeClock]; !c.alarm.Set() {
		t.Error("the alarm is gone")
	}
	d.quiet(t, 5*time.Millisecond)
}

func TestTimerOnEachClock_R222(t *testing.T) {
	for _, clock := range []Clock{MonotonicClock, RealtimeClock, BoottimeClock} {
		t.Run(string(clock), func(t *testing.T) {
			d, s := newDesk(t, "timer")
			began := time.Now()
			startTimer(t, s, 1, Timer{After: 3 * time.Millisecond, Clock: clock, Cookie: 7})
			d.events(t, 1)
			e := d.detected[0]
			scheduled := time.Unix(0, e.Facts[0].Number)
			if late := e.Time.Sub(began); late < 3*time.Millisecond || scheduled.Sub(began) < 3*time.Millisecond || scheduled.After(e.Time) {
				t.Errorf("detected after %v, scheduled for %v", late, scheduled.Sub(began))
			}
			if cookie, _ := e.Fact("cookie"); cookie != "7" {
				t.Errorf("cookie %q", cookie)
			}
		})
	}
}

func TestJitterDelaysAndIsNotToldAsSchedule(t *testing.T) {
	d, s := newDesk(t, "timer")
	for id := range aem.JobID(50) {
		startTimer(t, s, id, Timer{Every: time.Millisecond, First: time.Millisecond, Jitter: 20 * time.Millisecond})
	}
	seen := map[aem.JobID]time.Duration{}
	d.then = func(e detected) {
		if _, ok := seen[e.job]; !ok {
			seen[e.job] = e.Time.Sub(time.Unix(0, e.Facts[0].Number))
			s.Stop(e.job)
		}
	}
	d.until(t, "detected", func() bool { return len(seen) == 50 })
	late := 0
	for _, by := range seen {
		if by > 2*time.Millisecond {
			late++
		}
	}
	if late < 10 {
		t.Errorf("only %d of 50 were delayed: %v", late, seen)
	}
}

// memory is what outlives a run in these tests.
type memory map[aem.JobID]time.Time

func (m memory) Last(id aem.JobID) (time.Time, bool) { at, ok := m[id]; return at, ok }
func (m memory) Ran(id aem.JobID, at time.Time)      { m[id] = at }
func (m memory) wants(id aem.JobID, at time.Time) error {
	if !m[id].Equal(at) {
		return errors.New("it is " + m[id].String())
	}
	return nil
}

// TestMissedOverARestart_R222: a job counts what passed since it last looked, as its rule says.
func TestMissedOverARestart_R222(t *testing.T) {
	last, restart := moment(t, "2026-03-01T10:00:00Z"), moment(t, "2026-03-01T13:30:00Z")
	for _, c := range []struct {
		missed Missed
		spec   Timer
		want   []string
	}{
		{SkipMissed, Timer{Cron: "0 * * * *"}, nil},
		{OneMissed, Timer{Cron: "0 * * * *"}, []string{"11:00+2"}},
		{AllMissed, Timer{Cron: "0 * * * *"}, []string{"11:00+0", "12:00+0", "13:00+0"}},
		{OneMissed, Timer{At: "2026-03-01T12:34:00"}, []string{"12:34+0"}},
		{SkipMissed, Timer{At: "2026-03-01T12:34:00"}, nil},
		{OneMissed, Timer{At: "2026-03-01T09:00:00"}, nil}, // it was seen
		{OneMissed, Timer{At: "12:34"}, []string{"12:34+0"}},
	} {
		d, s, now := faked(t, restart)
		runs := memory{1: last}
		s.env.Runs = runs
		c.spec.Missed, c.spec.Zone = c.missed, "UTC"
		startTimer(t, s, 1, c.spec)
		s.reach(now, restart.Add(time.Minute), false)
		if got := d.told(); len(got) != len(c.want) {
			t.Errorf("%+v: told %v, want %v", c.spec, got, c.want)
			continue
		}
		wantTold(t, d, c.want...)
		if len(c.want) > 0 && runs[1].Equal(last) {
			t.Errorf("%+v: it is not kept that it ran", c.spec)
		}
		s.Stop(1)
		startTimer(t, s, 1, c.spec)
		s.reach(now, restart.Add(2*time.Minute), false)
		wantTold(t, d, c.want...) // and not again
	}
}

// TestFirstLookMissesNothing: a job that is new has missed nothing, and what passes from then on counts.
func TestFirstLookMissesNothing(t *testing.T) {
	began := moment(t, "2026-03-01T10:30:00Z")
	d, s, now := faked(t, began)
	runs := memory{}
	s.env.Runs = runs
	startTimer(t, s, 1, Timer{Cron: "0 * * * *", Zone: "UTC", Missed: OneMissed})
	s.reach(now, began.Add(time.Minute), false)
	wantTold(t, d)
	if err := runs.wants(1, began); err != nil {
		t.Error(err)
	}
}

// TestMissedIsBounded: a job that slept for a year makes up for a thousand minutes, and the rest is in one event.
func TestMissedIsBounded(t *testing.T) {
	restart := moment(t, "2026-03-01T10:00:30Z")
	for missed, want := range map[Missed]int{AllMissed: maxMissed + 1, OneMissed: 1} {
		d, s, now := faked(t, restart)
		runs := memory{1: restart.AddDate(-1, 0, 0)}
		s.env.Runs = runs
		startTimer(t, s, 1, Timer{Cron: "* * * * *", Zone: "UTC", Missed: missed})
		s.reach(now, restart.Add(time.Second), false)
		if len(d.detected) != want || d.detected[want-1].Count != maxMissed {
			t.Errorf("%s: %d events, the last counts %d", missed, len(d.detected), d.detected[want-1].Count)
		}
		if err := runs.wants(1, *now); err != nil { // else the next run would tell of some again
			t.Errorf("%s: %v", missed, err)
		}
		s.reach(now, restart.Add(time.Minute), false)
		if n := len(d.detected); n != want+1 || d.detected[want].Count != 1 {
			t.Errorf("%s: %d events a minute later", missed, n)
		}
	}
}

func TestHeldCalendarCountsWhatFallsDue_R094(t *testing.T) {
	d, s, now := faked(t, moment(t, "2026-03-01T10:30:00Z"))
	startTimer(t, s, 1, Timer{Cron: "0 * * * *", Zone: "UTC"})
	s.Hold(1)
	s.reach(now, moment(t, "2026-03-01T13:30:00Z"), false)
	wantTold(t, d)
	if kept := s.Kept(1); kept != 3 {
		t.Errorf("kept %d", kept)
	}
	s.Resume(1)
	s.reach(now, moment(t, "2026-03-01T13:30:01Z"), false)
	wantTold(t, d, "11:00+2")
}

// TestKeptTimersStartWithoutASpec: what a program registers is kept in the source, through stops and starts.
func TestKeptTimersStartWithoutASpec(t *testing.T) {
	d, s := newDesk(t, "timer")
	k := s.(Keeper)
	if err := k.Keep(1, Timer{After: time.Nanosecond, Cookie: 5}); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 2; n++ {
		if err := s.Start(1, nil); err != nil {
			t.Fatal(err)
		}
		d.events(t, n)
		s.Stop(1)
	}
	if err := k.Keep(2, Timer{Cron: "* * * * *", Zone: "Nowhere/Atall"}); err == nil {
		t.Error("a timer in a zone that there is not was kept")
	}
	k.Forget(1)
	if *s.(*timers).timers.At(1) != (timer{}) {
		t.Error("it is not forgotten")
	}
}
