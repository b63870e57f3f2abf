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
	tick   int64 // reached: all deadlines up to its end are in near
	len    int
	heads  [levels * slots]uint32 // the first block of each slot's list, the only one that is not full; 0: empty
	used   [levels][slots / 64]uint64
	moving uint32            // the slot that is being moved down, or none
	places slab.Slab[uint32] // by number; 0: not set
	lists  slab.Slab[record] // of all slots, by place
	blocks []block           // each blockLen places; the first is no block
	free   uint32            // the first of those that are in no list
	near   Deadlines
}

// record is a deadline in a slot's list, in halves, so that it takes 12 bytes.
type record struct{ low, high, of uint32 }

func (r *record) at() int64 { return int64(r.high)<<32 | int64(r.low) }

// block is a part of a slot's list: deadlines that lie side by side, because whoever follows single ones through memory
// waits for each.
type block struct {
	next uint32 // of the list; 0: it is the last
	slot uint16
	len  uint16
}

const (
	tickBits = 20 // a tick is 2^20 ns, about a millisecond
	slotBits = 8
	slots    = 1 << slotBits
	levels   = 6 // 20 + 6*8 bits: all positive times
	none     = levels * slots
	blockLen = 32
	nearMark = 1 << 31 // of a place: the rest is a Ref in near

	// movesPerTake bounds how many deadlines one Take moves down, so that a turn stays short when millions of them
	// come down at once.
	movesPerTake = 1024
)

// NewWheel makes a wheel without deadlines; now is the present time.
func NewWheel(now int64) *Wheel {
	return &Wheel{tick: now >> tickBits, moving: none, blocks: make([]block, 1)}
}

// Len is how many deadlines wait.
func (w *Wheel) Len() int { return w.len }

// Set waits until at for number i, which has no deadline and is less than 2^30.
func (w *Wheel) Set(i uint32, at int64) {
	w.len++
	w.place(i, at)
}

// Clear forgets the deadline of number i, if it has one.
func (w *Wheel) Clear(i uint32) {
	place := w.places.At(i)
	if place == nil || *place == 0 {
		return
	}
	w.len--
	if *place&nearMark != 0 {
		w.near.Cancel(Ref(*place &^ nearMark))
	} else {
		w.fill(*place)
	}
	*place = 0
}

// Deadline is when number i is due.
func (w *Wheel) Deadline(i uint32) (at int64, ok bool) {
	place := w.places.At(i)
	switch {
	case place == nil || *place == 0:
		return 0, false
	case *place&nearMark != 0:
		return w.near.At(Ref(*place &^ nearMark)), true
	}
	return w.lists.At(*place).at(), true
}

// Next is when Take is to be called next: the earliest deadline, or before it when deadlines have to move down.
func (w *Wheel) Next() (at int64, ok bool) {
	at, ok = w.near.Next()
	switch start := w.tick << tickBits; {
	case w.moving != none && (!ok || at > start):
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
		if moves = w.move(moves); w.moving != none {
			now = min(now, w.tick<<tickBits-1) // what is still to move may come before what has
			break
		}
		if at, ok := w.near.Next(); ok && at <= now {
			break // all that is not near comes later
		}
		slot, start, ok := w.earliest()
		if !ok || start > now>>tickBits {
			w.tick = max(w.tick, now>>tickBits)
			break
		}
		w.tick, w.moving = start, slot
	}
	token, at, ok := w.near.Take(now)
	if ok {
		i = uint32(token)
		*w.places.At(i) = 0
		w.len--
	}
	return i, at, ok
}

// move moves down at most n deadlines of the slot that is being moved, and returns how many more it might have.
func (w *Wheel) move(n int) int {
	for ; n > 0 && w.moving != none; n-- {
		r := w.pop(w.moving)
		w.place(r.of, r.at())
	}
	return n
}

// place puts a deadline where it belongs as seen from the present tick: never into the slot of one of its digits.
func (w *Wheel) place(i uint32, at int64) {
	place := w.places.Make(i)
	tick := at >> tickBits
	if tick <= w.tick {
		*place = nearMark | uint32(w.near.Add(at, uint64(i)))
		return
	}
	level := (bits.Len64(uint64(tick^w.tick)) - 1) / slotBits
	digit := uint32(tick>>(level*slotBits)) % slots
	slot := uint32(level*slots) + digit
	n := w.heads[slot]
	if n == 0 || w.blocks[n].len == blockLen {
		w.used[level][digit/64] |= 1 << (digit % 64)
		n = w.grow(slot)
	}
	b := &w.blocks[n]
	*place = n*blockLen + uint32(b.len)
	*w.lists.Make(*place) = record{uint32(at), uint32(at >> 32), i}
	b.len++
}

// grow begins a slot's list with an empty block.
func (w *Wheel) grow(slot uint32) (n uint32) {
	if n = w.free; n != 0 {
		w.free = w.blocks[n].next
	} else {
		n = uint32(len(w.blocks))
		w.blocks = append(w.blocks, block{})
	}
	w.blocks[n] = block{next: w.heads[slot], slot: uint16(slot)}
	w.heads[slot] = n
	return n
}

// pop takes the last deadline of the first block of a slot that has some.
func (w *Wheel) pop(slot uint32) record {
	n := w.heads[slot]
	b := &w.blocks[n]
	b.len--
	last := *w.lists.At(n*blockLen + uint32(b.len))
	if b.len > 0 {
		return last
	}
	if w.heads[slot] = b.next; b.next == 0 {
		w.used[slot/slots][slot%slots/64] &^= 1 << (slot % 64)
		if slot == w.moving {
			w.moving = none
		}
	}
	b.next, w.free = w.free, n
	return last
}

// fill takes the deadline at a place out of its list, by one of the same list that takes its place.
func (w *Wheel) fill(place uint32) {
	last := w.pop(uint32(w.blocks[place/blockLen].slot))
	*w.lists.At(place) = last // itself, when it was that
	*w.places.At(last.of) = place
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
