package policy

import (
	"math"
	"slices"
	"testing"

	"golang.org/x/net/bpf"
	"pgregory.net/rapid"
)

// follow is where a plan leads for a word, and after how many comparisons.
func follow(c *choice, word uint32) (leads, steps int) {
	for ; c.yes != nil; steps++ {
		holds := word == c.value
		if c.test == bpf.JumpGreaterOrEqual {
			holds = word >= c.value
		}
		if holds {
			c = c.yes
		} else {
			c = c.no
		}
	}
	return c.leads, steps
}

// size is how many comparisons a plan has.
func size(c *choice) int {
	if c.yes == nil {
		return 0
	}
	return 1 + size(c.yes) + size(c.no)
}

// TestPlanFinds has a plan for random segments lead every word where its segment does.
func TestPlanFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		firsts := rapid.SliceOfNDistinct(rapid.OneOf(rapid.Uint32Range(1, 40), rapid.Uint32Range(1, 9999), rapid.Uint32Min(math.MaxUint32-3)), 0, 140, rapid.ID).Draw(t, "firsts")
		slices.Sort(firsts)
		segments := []segment{{weight: 1}}
		for _, first := range firsts {
			other := (segments[len(segments)-1].leads + rapid.IntRange(1, 2).Draw(t, "leads")) % 3
			segments = append(segments, segment{first, other, rapid.IntRange(0, 50).Draw(t, "weight")})
		}
		c := plan(segments)
		if n := size(c); n >= len(segments) {
			t.Fatalf("%d comparisons for %d segments", n, len(segments))
		}
		for i, s := range segments {
			last := uint32(math.MaxUint32)
			if i+1 < len(segments) {
				last = segments[i+1].first - 1
			}
			for _, word := range []uint32{s.first, last, s.first + (last-s.first)/2} {
				if leads, _ := follow(c, word); leads != s.leads {
					t.Fatalf("%d leads to %d, want %d: %+v", word, leads, s.leads, segments)
				}
			}
		}
	})
}

// TestPlanIsShort looks at what the two kinds of comparison are for.
func TestPlanIsShort(t *testing.T) {
	for _, tt := range []struct {
		name     string
		segments []segment
		size     int
		heaviest int // comparisons to the heaviest segment
	}{
		{"one", []segment{{0, 0, 9}}, 0, 0},
		{"a word apart", []segment{{0, 0, 5}, {7, 1, 1}, {8, 0, 9}}, 1, 1},
		{"two words apart", []segment{{0, 0, 5}, {7, 1, 1}, {8, 0, 9}, {11, 2, 1}, {12, 0, 5}}, 2, 2},
		{"a range apart", []segment{{0, 0, 5}, {7, 1, 2}, {9, 0, 9}}, 2, 1},
		{"the last word", []segment{{0, 0, 9}, {math.MaxUint32, 1, 0}}, 1, 1},
		{"a heavy one near", []segment{{0, 0, 1}, {10, 1, 1}, {20, 2, 1}, {30, 3, 1}, {40, 4, 999}}, 4, 1},
	} {
		c := plan(tt.segments)
		heavy := slices.MaxFunc(tt.segments, func(a, b segment) int { return a.weight - b.weight })
		if n := size(c); n != tt.size {
			t.Errorf("%s: %d comparisons, want %d", tt.name, n, tt.size)
		}
		if _, steps := follow(c, heavy.first); steps != tt.heaviest {
			t.Errorf("%s: %d comparisons to the heaviest, want %d", tt.name, steps, tt.heaviest)
		}
	}
}

// TestProgramLengths holds the built-in profiles to the lengths that docs/performance.md speaks of.
func TestProgramLengths(t *testing.T) {
	for name, most := range map[string]int{Default: 85, Handler: 140} {
		if n := len(builtin(t, name, Only, X86_64).Insns); n > most {
			t.Errorf("%s has %d instructions, want %d at the most", name, n, most)
		}
	}
}
