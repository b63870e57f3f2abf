package timing

import (
	"math/bits"

	"github.com/aem-exec/aem-exec/internal/slab"
)

// Wheel keeps a deadline for each of many numbers: a hierarchy of wheels with a slot for each tick, and a heap for what
// is due within the tick that has come. A deadline goes to the wheel of the highest digit in which its tick differs
// from the present one, and comes down from wheel to wheel as that digit is reached, so that setting and clearing one
// are the same work however many there are; the heap makes the order exact to the nanosecond.
//
// It takes 16 bytes a number and holds no pointers to them. Numbers are its owner's, best dense from 0.
type Wheel struct {
	tick    int64 // reached: all deadlines up to its end are in near
	len     int
	heads   [levels*slots + 1]uint32 // first number of each slot's list, +1; 0: empty
	used    [levels][slots / 64]uint64
	entries slab.Slab[entry]
	near    Deadlines
}

const (
	tickBits = 20 // a tick is 2^20 ns, about a millisecond
	slotBits = 8
	slots    = 1 << slotBits
	levels   = 6 // 20 + 6*8 bits: all positive times

	// moving is the slot of the list that is being moved down.
	moving = levels * slots

	// movesPerTake bounds how many deadlines one Take moves down, so that a turn stays short when millions of them
	// come down at once.
	movesPerTake = 1024
)

// entry is the place of one deadline: in the list of a slot or in the heap.
type entry struct {
	at   int64
	next uint32 // +1; 0: the last of its list
	prev uint32 // 0: not set; the one before it, +1; or, marked, its slot or its Ref in near
}

const (
	headMark = 1 << 31
	nearMark = 1 << 30
)

// NewWheel makes a wheel without deadlines; now is the present time.
func NewWheel(now int64) *Wheel { return &Wheel{tick: now >> tickBits} }

// Len is how many deadlines wait.
func (w *Wheel) Len() int { return w.len }

// Set waits until at for number i, which has no deadline and is less than 2^30.
func (w *Wheel) Set(i uint32, at int64) {
	w.len++
	e := w.entries.Make(i)
	e.at = at
	w.place(i, e)
}

// Clear forgets the deadline of number i, if it has one.
func (w *Wheel) Clear(i uint32) {
	e := w.entries.At(i)
	if e == nil || e.prev == 0 {
		return
	}
	w.len--
	if e.prev&(headMark|nearMark) == nearMark {
		w.near.Cancel(Ref(e.prev &^ nearMark))
	} else {
		w.unlink(e)
	}
	e.prev = 0
}

// Deadline is when number i is due.
func (w *Wheel) Deadline(i uint32) (at int64, ok bool) {
	e := w.entries.At(i)
	if e == nil || e.prev == 0 {
		return 0, false
	}
	return e.at, true
}

// Next is when Take is to be called next: the earliest deadline, or before it when deadlines have to move down.
func (w *Wheel) Next() (at int64, ok bool) {
	at, ok = w.near.Next()
	switch start := w.tick << tickBits; {
	case w.heads[moving] != 0 && (!ok || at > start):
		return start, true
	case ok:
		return at, true
	}
	_, start, ok := w.earliest()
	return start << tickBits, ok
}

// Take removes the earliest deadline and returns it if it is due at now. It may find none although some are due, when
// many have to move down first: Next is not later than now then.
func (w *Wheel) Take(now int64) (i uint32, at int64, ok bool) {
	for moves := movesPerTake; ; {
		if moves = w.move(moves); w.heads[moving] != 0 {
			now = min(now, w.tick<<tickBits-1) // what is still to move may come before what has
			break
		}
		slot, start, ok := w.earliest()
		if !ok || start > now>>tickBits {
			w.tick = max(w.tick, now>>tickBits)
			break
		}
		if at, due := w.near.Next(); due && at <= now {
			break // it comes before the slot
		}
		w.tick = start
		w.detach(slot)
	}
	token, at, ok := w.near.Take(now)
	if ok {
		i = uint32(token)
		w.entries.At(i).prev = 0
		w.len--
	}
	return i, at, ok
}

// move moves down at most n deadlines of the list that is being moved, and returns how many more it might have.
func (w *Wheel) move(n int) int {
	for ; n > 0 && w.heads[moving] != 0; n-- {
		i := w.heads[moving] - 1
		e := w.entries.At(i)
		w.unlink(e)
		w.place(i, e)
	}
	return n
}

// place puts a deadline where it belongs as seen from the present tick.
func (w *Wheel) place(i uint32, e *entry) {
	tick := e.at >> tickBits
	if tick <= w.tick {
		e.prev = nearMark | uint32(w.near.Add(e.at, uint64(i)))
		return
	}
	level := (bits.Len64(uint64(tick^w.tick)) - 1) / slotBits
	digit := uint(tick>>(level*slotBits)) % slots
	w.used[level][digit/64] |= 1 << (digit % 64)
	slot := uint32(level*slots) + uint32(digit)
	e.next, e.prev = w.heads[slot], headMark|slot
	if e.next != 0 {
		w.entries.At(e.next - 1).prev = i + 1
	}
	w.heads[slot] = i + 1
}

// unlink takes a deadline out of its list.
func (w *Wheel) unlink(e *entry) {
	if e.next != 0 {
		w.entries.At(e.next - 1).prev = e.prev
	}
	if e.prev&headMark == 0 {
		w.entries.At(e.prev - 1).next = e.next
		return
	}
	slot := e.prev &^ headMark
	w.heads[slot] = e.next
	if e.next == 0 && slot != moving {
		w.used[slot/slots][slot%slots/64] &^= 1 << (slot % 64)
	}
}

// earliest is the slot that comes next, and the tick it begins at. That of the lowest wheel does: its deadlines have
// all higher digits of the present tick.
func (w *Wheel) earliest() (slot uint32, start int64, ok bool) {
	for level := range levels {
		for word, set := range w.used[level] {
			if set == 0 {
				continue
			}
			digit := word*64 + bits.TrailingZeros64(set)
			shift := level * slotBits
			return uint32(level*slots + digit), (w.tick>>(shift+slotBits)<<slotBits | int64(digit)) << shift, true
		}
	}
	return 0, 0, false
}

// detach makes the list of a slot the one that is being moved.
func (w *Wheel) detach(slot uint32) {
	first := w.heads[slot]
	w.heads[moving], w.heads[slot] = first, 0
	w.entries.At(first - 1).prev = headMark | moving
	w.used[slot/slots][slot%slots/64] &^= 1 << (slot % 64)
}
