package directcopy

import (
	"slices"
	"testing"
)

// FuzzRing drives a ring by the bytes of the input against a plain list of what is handed out: nothing overlaps or lies
// outside, and when all came back there is room for everything again.
func FuzzRing(f *testing.F) {
	f.Add([]byte{10, 20, 30, 0x80, 40, 0x81, 0x80, 63})
	f.Add([]byte{63, 0x80, 63, 0x80, 32, 31, 0x81, 1, 0x80, 30, 2})
	f.Fuzz(func(t *testing.T, steps []byte) {
		r := ring{size: 64}
		var out []uint64
		used, peak := uint64(0), uint64(0)
		for _, step := range steps {
			if step >= 0x80 {
				if len(out) > 0 {
					i := int(step-0x80) % len(out)
					used -= r.span(out[i]).size
					r.free(out[i])
					out = slices.Delete(out, i, i+1)
				}
				continue
			}
			size := uint64(step%64) + 1
			offset, ok := r.place(size)
			if !ok {
				if len(out) == 0 {
					t.Fatalf("no room for %d of %d in an empty ring", size, r.size)
				}
				continue
			}
			taken := span{offset: offset, size: size}
			for _, n := range out {
				if s := r.span(n); taken.offset < s.end() && s.offset < taken.end() {
					t.Fatalf("block at %d..%d overlaps block %d at %d..%d", offset, taken.end(), n, s.offset, s.end())
				}
			}
			if taken.end() > r.size {
				t.Fatalf("block at %d..%d of %d", offset, taken.end(), r.size)
			}
			out = append(out, r.next)
			r.take(offset, size)
			used += size
			if peak = max(peak, used); r.used != used || r.peak != peak {
				t.Fatalf("%d bytes used, at most %d; it says %d and %d", used, peak, r.used, r.peak)
			}
		}
		for _, n := range out {
			r.free(n)
		}
		if _, ok := r.place(r.size); !ok {
			t.Fatal("the ring is empty and not free")
		}
	})
}

// TestRingUsesAll fills a ring exactly, over its end too.
func TestRingUsesAll(t *testing.T) {
	r := ring{size: 100}
	for _, step := range []struct {
		free   bool
		number uint64
		size   uint64
		want   int // offset, -1: no room
	}{
		{size: 40, want: 0}, {size: 40, want: 40}, {size: 21, want: -1},
		{free: true, number: 0},
		{size: 20, want: 80}, {size: 41, want: -1}, {size: 40, want: 0}, {size: 1, want: -1},
		{free: true, number: 2}, {size: 1, want: -1}, // out of order: not yet
		{free: true, number: 1}, {size: 60, want: 40},
	} {
		if step.free {
			r.free(step.number)
			continue
		}
		offset, ok := r.place(step.size)
		if ok != (step.want >= 0) || ok && offset != uint64(step.want) {
			t.Fatalf("place(%d) = %d, %t, want %d", step.size, offset, ok, step.want)
		}
		if ok {
			r.take(offset, step.size)
		}
	}
}
