package executor

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestBackoffWait(t *testing.T) {
	b := Backoff{First: time.Second, Factor: 2, Max: 10 * time.Second}
	for n, want := range []time.Duration{1: time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 10 * time.Second, 10 * time.Second} {
		if got := b.Wait(n, 0.7); n > 0 && got != want {
			t.Errorf("wait %d is %v, want %v", n, got, want)
		}
	}
	b.Jitter = 0.5
	for r, want := range map[float64]time.Duration{0: 500 * time.Millisecond, 0.5: time.Second, 1: 1500 * time.Millisecond} {
		if got := b.Wait(1, r); got != want {
			t.Errorf("with the random number %v it is %v, want %v", r, got, want)
		}
	}
}

// TestBackoffStaysInItsBounds_R049: it never waits less than nothing, nor longer than it may, however often it failed.
func TestBackoffStaysInItsBounds_R049(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		duration := rapid.Int64Range(0, int64(100*365*24*time.Hour))
		b := Backoff{
			First:  time.Duration(duration.Draw(t, "first")),
			Max:    time.Duration(duration.Draw(t, "max")),
			Factor: rapid.Float64Range(1, 100).Draw(t, "factor"),
			Jitter: rapid.Float64Range(0, 1).Draw(t, "jitter"),
		}
		n := rapid.IntRange(1, math.MaxInt).Draw(t, "n")
		r := rapid.Float64Range(0, 1).Draw(t, "r")
		got := b.Wait(n, r)
		least := float64(min(b.First, b.Max)) * (1 - b.Jitter)
		most := float64(b.Max) * (1 + b.Jitter)
		if got < 0 || float64(got) < math.Floor(least*(1-1e-9)) || float64(got) > math.Ceil(most*(1+1e-9)) {
			t.Fatalf("wait %v, want %v to %v", got, time.Duration(least), most)
		}
		if more := b.Wait(n+min(1, math.MaxInt-n), r); more < got {
			t.Fatalf("wait %v, then %v", got, more)
		}
	})
}
