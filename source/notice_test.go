package source

import (
	"fmt"
	"slices"
	"testing"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/timing"
)

func newNoticeDesk(t *testing.T, jobs map[aem.JobID][]string) (*desk, *Notices) {
	t.Helper()
	d, s := newDesk(t, "supervisor.agent")
	for _, id := range []aem.JobID{1, 2, 3} {
		if apps := jobs[id]; apps != nil {
			if err := s.Start(id, Notice{"supervisor.agent", apps}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return d, s.(*Notices)
}

func (s *Notices) about(app string) {
	s.Tell(nil, aem.Fact{Name: "subject", Value: app}, aem.NumberFact("n", 7))
}

func TestNoticesReachWhoWantsThem(t *testing.T) {
	d, s := newNoticeDesk(t, map[aem.JobID][]string{1: {"a"}, 2: {"b", "[ac]"}, 3: {"*"}})
	s.about("a")
	if len(d.detected) != 0 {
		t.Error("it was detected inside of Tell")
	}
	d.alarms.Run(timing.Now())
	s.about("b")
	d.alarms.Run(timing.Now())
	if got := d.reached(); !slices.Equal(got, []aem.JobID{1, 2, 3, 2, 3}) {
		t.Errorf("they reached %v", got)
	}
	want := []aem.Fact{{Name: "subject", Value: "a"}, aem.NumberFact("n", 7)}
	if e := d.detected[0]; !slices.Equal(e.Facts, want) || e.Type != "supervisor.agent" || e.Count != 1 || e.Users != 0 || e.Event != d.detected[2].Event {
		t.Errorf("event %+v", e.Event)
	}
}

func TestNoticesWaitForAHeldJob(t *testing.T) {
	d, s := newNoticeDesk(t, map[aem.JobID][]string{1: {"*"}, 2: {"*"}})
	s.Hold(1)
	for i := range keptNotices + 3 {
		s.about(fmt.Sprint("app", i))
		d.alarms.Run(timing.Now())
	}
	if n := s.Kept(1); len(d.detected) != keptNotices+3 || n != keptNotices+3 {
		t.Errorf("%d detected for the other job, %d kept", len(d.detected), n)
	}
	d.then = func(got detected) { // the hold comes back at the second one
		if got.Facts[0].Value == "app1" {
			d.then = nil
			s.Hold(1)
		}
	}
	d.detected = nil
	s.Resume(1)
	d.alarms.Run(timing.Now())
	if got := d.reached(); !slices.Equal(got, []aem.JobID{1, 1}) {
		t.Errorf("a hold in between: %v", got)
	}
	s.Resume(1)
	d.alarms.Run(timing.Now())
	last := d.detected[len(d.detected)-1]
	if len(d.detected) != keptNotices || last.Facts[0].Value != fmt.Sprint("app", keptNotices+2) || last.Count != 4 || d.detected[0].Count != 1 {
		t.Errorf("%d detected, the last of them %+v", len(d.detected), last.Event)
	}
	for _, e := range d.detected {
		if e.Users != 0 {
			t.Errorf("event %v has %d users", e.ID, e.Users)
		}
	}
}

// TestManyNoticesAtOnceAreCounted: what is told within one turn of the loop is bounded.
func TestManyNoticesAtOnceAreCounted(t *testing.T) {
	d, s := newNoticeDesk(t, map[aem.JobID][]string{1: {"*"}})
	for range 3 * keptNotices {
		s.about("a")
	}
	d.alarms.Run(timing.Now())
	var n uint32
	for _, e := range d.detected {
		n += e.Count
	}
	if len(d.detected) != keptNotices || n != 3*keptNotices {
		t.Errorf("%d events for %d", len(d.detected), n)
	}
}

func TestNoticesOfAStoppedJobAreGone(t *testing.T) {
	d, s := newNoticeDesk(t, map[aem.JobID][]string{1: {"*"}, 2: {"*"}})
	d.then = func(detected) { s.Stop(1) }
	s.about("a")
	s.about("b")
	d.alarms.Run(timing.Now())
	s.Stop(2)
	s.about("c") // nobody is there
	if got := d.reached(); !slices.Equal(got, []aem.JobID{1, 2, 2}) || s.alarm.Set() {
		t.Errorf("they reached %v, more to come: %v", got, s.alarm.Set())
	}
}
