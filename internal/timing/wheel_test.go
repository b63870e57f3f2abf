package timing

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestWheelIsADeadlineList_R107 holds a wheel to a plain list, over all of its levels.
func TestWheelIsADeadlineList_R107(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := rapid.Int64Range(0, math.MaxInt64/4).Draw(t, "now")
		w, live := NewWheel(now), map[uint32]int64{}
		span := func() int64 { return int64(1) << rapid.IntRange(0, 61).Draw(t, "bits") }
		const most = 4 * blockLen
		numbers := rapid.Uint32Range(0, most)
		set := func(i uint32, at int64) {
			w.Clear(i)
			w.Set(i, at)
			live[i] = at
		}
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				set(numbers.Draw(t, "number"), max(0, now+rapid.Int64Range(-span(), span()).Draw(t, "in")))
			},
			"crowd": func(t *rapid.T) { // more in one slot than a block has
				at := now + rapid.Int64Range(0, span()).Draw(t, "in")
				for range 2 * blockLen {
					set(numbers.Draw(t, "number"), at)
				}
			},
			"clear": func(t *rapid.T) {
				i := numbers.Draw(t, "number")
				w.Clear(i)
				delete(live, i)
			},
			"pass": func(t *rapid.T) { now += rapid.Int64Range(0, span()).Draw(t, "long") % (math.MaxInt64 - now) },
			"back": func(t *rapid.T) { now = max(0, now-rapid.Int64Range(0, span()).Draw(t, "long")) },
			"next": func(t *rapid.T) { // it is never later than the earliest, and moves on until it is that
				if at, ok := w.Next(); ok != (len(live) > 0) || ok && at > earliest(live) {
					t.Fatalf("next %d %v of %v", at, ok, live)
				}
			},
			"take": func(t *rapid.T) { takeDue(t, w, live, now) },
			"": func(t *rapid.T) {
				if w.Len() != len(live) {
					t.Fatalf("%d wait, want %d", w.Len(), len(live))
				}
				for i := range uint32(most + 1) {
					at, set := w.Deadline(i)
					if want, is := live[i]; set != is || set && at != want {
						t.Fatalf("number %d is due at %d %v, want %d %v", i, at, set, want, is)
					}
				}
			},
		})
	})
}

func earliest(live map[uint32]int64) int64 {
	first := int64(math.MaxInt64)
	for _, at := range live {
		first = min(first, at)
	}
	return first
}

// takeDue takes everything that is due, in order.
func takeDue(t *rapid.T, w *Wheel, live map[uint32]int64, now int64) {
	for {
		i, at, ok := w.Take(now)
		if !ok {
			break
		}
		if want, is := live[i]; !is || at != want || at > now || at != earliest(live) {
			t.Fatalf("took %d, due at %d, at %d: want %v", i, at, now, live)
		}
		delete(live, i)
	}
	if len(live) > 0 && earliest(live) <= now {
		t.Fatalf("not taken at %d: %v", now, live)
	}
}

// TestWheelMovesInShares_R031: however many come down at once, one Take moves a bounded number of them, and none is
// lost or late beyond that.
func TestWheelMovesInShares_R031(t *testing.T) {
	const deadlines = 20 * movesPerTake
	w := NewWheel(0)
	at := int64(time.Hour)
	for i := range uint32(deadlines) {
		w.Set(i, at+int64(i))
	}
	takes, found := 0, 0
	for now := at + deadlines; found < deadlines; takes++ {
		if next, ok := w.Next(); !ok || next > now {
			t.Fatalf("next at %d %v after %d of %d", next, ok, found, deadlines)
		}
		if _, _, ok := w.Take(now); ok {
			found++
		}
		if moved := len(w.near.places); moved > (takes+1)*movesPerTake {
			t.Fatalf("%d moved in %d takes", moved, takes+1)
		}
	}
	if _, ok := w.Next(); ok || w.Len() != 0 {
		t.Errorf("%d are left", w.Len())
	}
}

// TestWheelClearsWhatMoves: a deadline that is cleared while its slot is being moved down is gone, and no other is.
func TestWheelClearsWhatMoves(t *testing.T) {
	const deadlines = 4 * movesPerTake
	w := NewWheel(0)
	at := int64(time.Hour)
	for i := range uint32(deadlines) {
		w.Set(i, at)
	}
	if _, _, ok := w.Take(at); ok || w.moving == none {
		t.Fatal("it moved all at once")
	}
	left := map[uint32]bool{}
	for n, i := range rand.Perm(deadlines) {
		if left[uint32(i)] = n%3 == 0; !left[uint32(i)] {
			w.Clear(uint32(i))
			delete(left, uint32(i))
		}
	}
	for len(left) > 0 {
		if next, ok := w.Next(); !ok || next > at {
			t.Fatalf("%d are lost", len(left))
		}
		if i, _, ok := w.Take(at); ok && !left[i] {
			t.Fatalf("took %d, which was cleared or taken", i)
		} else if ok {
			delete(left, i)
		}
	}
	if _, ok := w.Next(); ok || w.Len() != 0 {
		t.Errorf("%d are left", w.Len())
	}
}

// many deadlines, within a minute, and another order of them.
const many = 1 << 20

func withinAMinute() (in []int64, order []int) {
	r := rand.New(rand.NewPCG(1, 2))
	in = make([]int64, many)
	for i := range in {
		in[i] = r.Int64N(int64(time.Minute))
	}
	return in, r.Perm(many)
}

// BenchmarkWheel and BenchmarkHeap are the same work at a million deadlines within a minute.
func BenchmarkWheel(b *testing.B) {
	in, order := withinAMinute()
	b.Run("add", func(b *testing.B) {
		w := NewWheel(0)
		for n := 0; b.Loop(); n++ {
			if n == many {
				n, w = 0, NewWheel(0)
			}
			w.Set(uint32(n), in[n])
		}
	})
	full := func() *Wheel {
		w := NewWheel(0)
		for i, at := range in {
			w.Set(uint32(i), at)
		}
		return w
	}
	b.Run("cancel", func(b *testing.B) {
		w := full()
		for n := 0; b.Loop(); n = (n + 1) % many {
			i := uint32(order[n])
			w.Clear(i)
			w.Set(i, in[i])
		}
	})
	b.Run("fire", func(b *testing.B) {
		w, now := full(), int64(0)
		for b.Loop() {
			for now += 57; ; now++ { // as often as one is due
				if i, at, ok := w.Take(now); ok {
					w.Set(i, at+int64(time.Minute))
					break
				}
				at, _ := w.Next()
				now = max(now, at)
			}
		}
	})
}

func BenchmarkHeap(b *testing.B) {
	in, order := withinAMinute()
	b.Run("add", func(b *testing.B) {
		var d Deadlines
		for n := 0; b.Loop(); n++ {
			if n == many {
				n, d = 0, Deadlines{}
			}
			d.Add(in[n], uint64(n))
		}
	})
	var d Deadlines
	refs := make([]Ref, many)
	for i, at := range in {
		refs[i] = d.Add(at, uint64(i))
	}
	b.Run("cancel", func(b *testing.B) {
		for n := 0; b.Loop(); n = (n + 1) % many {
			i := order[n]
			d.Cancel(refs[i])
			refs[i] = d.Add(in[i], uint64(i))
		}
	})
	b.Run("fire", func(b *testing.B) {
		for b.Loop() {
			at, _ := d.Next()
			token, at, _ := d.Take(at)
			d.Add(at+int64(time.Minute), token)
		}
	})
}
