package timing

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestDeadlinesAreTakenInOrder(t *testing.T) {
	var d Deadlines
	live := map[Ref]int64{}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		switch op := r.IntN(10); {
		case op < 6:
			at := r.Int64N(1000)
			live[d.Add(at, uint64(at))] = at
		case op < 8:
			for ref := range live {
				d.Cancel(ref)
				delete(live, ref)
				break
			}
		default:
			now := r.Int64N(1000)
			var due []int64
			for ref, at := range live {
				if at <= now {
					due = append(due, at)
					delete(live, ref)
				}
			}
			slices.Sort(due)
			for _, want := range due {
				token, at, ok := d.Take(now)
				if !ok || at != want || token != uint64(want) {
					t.Fatalf("take at %d: %d %d %v, want %d", now, token, at, ok, want)
				}
			}
			if _, at, ok := d.Take(now); ok {
				t.Fatalf("took %d at %d, which is cancelled or not due", at, now)
			}
		}
		if d.Len() != len(live) {
			t.Fatalf("%d deadlines wait, want %d", d.Len(), len(live))
		}
	}
}

func TestAlarmStoppedOrReplacedIsNotCalled(t *testing.T) {
	var s Alarms
	var called []string
	var a, b, c Alarm
	s.After(&a, 0, func() { called = append(called, "a") })
	s.After(&b, 0, func() { called = append(called, "b") })
	s.After(&a, time.Millisecond, func() { called = append(called, "a later") })
	b.Stop()
	b.Stop()
	s.After(&c, 0, func() { called = append(called, "c"); a.Stop() })
	s.Run(Now() + int64(time.Second))
	if !slices.Equal(called, []string{"c"}) || a.Set() || c.Set() {
		t.Fatalf("called %q", called)
	}
	if _, ok := s.Next(); ok {
		t.Fatal("an alarm is left")
	}
}

func BenchmarkAddCancel(b *testing.B) {
	var d Deadlines
	for i := range 100_000 {
		d.Add(int64(i), 0)
	}
	for i := 0; b.Loop(); i++ {
		d.Cancel(d.Add(int64(i%100_000), 0))
	}
}
