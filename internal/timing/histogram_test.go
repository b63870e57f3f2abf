package timing

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestHistogramIsRightToAnEighth compares it with the sorted list of what it has counted.
func TestHistogramIsRightToAnEighth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		durations := rapid.SliceOfN(rapid.Map(rapid.Uint64(), func(n uint64) time.Duration {
			return time.Duration(n % (1 << (n >> 58 % 40))) // of all lengths alike
		}), 1, 200).Draw(t, "durations")
		var h Histogram
		for _, d := range durations {
			h.Add(d)
		}
		slices.Sort(durations)
		if got := h.Count(); got != uint64(len(durations)) {
			t.Fatalf("count %d of %d", got, len(durations))
		}
		if got, want := h.Longest(), durations[len(durations)-1]; got != want {
			t.Fatalf("longest %v, want %v", got, want)
		}
		for _, p := range []float64{0, 50, 90, 99, 100} {
			want := durations[min(int(p/100*float64(len(durations))), len(durations)-1)]
			if got := h.Percentile(p); got < want || got > want+want/8 {
				t.Fatalf("p%v is %v, want %v", p, got, want)
			}
		}
	})
}

func TestHistogramOfExtremes(t *testing.T) {
	var h Histogram
	if got := h.Percentile(50); got != 0 {
		t.Errorf("of nothing p50 is %v", got)
	}
	h.Add(-time.Second)
	if got := h.Percentile(100); got != 0 {
		t.Errorf("of less than nothing p100 is %v", got)
	}
	h.Add(1000 * time.Hour)
	if got := h.Percentile(100); got != 1000*time.Hour {
		t.Errorf("of 1000 hours p100 is %v", got)
	}
}

func TestHistogramTakesNoMemory(t *testing.T) {
	var h Histogram
	if n := testing.AllocsPerRun(100, func() { h.Add(time.Duration(rand.Int64())) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
