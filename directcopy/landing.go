package directcopy

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Memory is an application's own scheme of allocation: it says where each event lands. Its functions are called by the
// thread that runs handlers, between events.
type Memory struct {
	// Arena is where events may land, at least 4096 bytes from a multiple of 64 on; it must stay where it is. nil: one of the
	// size that the supervisor wishes is made, and set before the first Alloc. So is one that is shared with the supervisor.
	Arena []byte

	// Alloc finds room for an event's block of so many bytes, which has the event's data at dataAt. The offset in Arena is a
	// multiple of 64; not ok is that there is no room now.
	Alloc func(size, dataAt int) (offset int, ok bool)

	// Free takes back a block, when its event was answered. nil: the application keeps it, and knows itself when it does not
	// need it any more.
	Free func(offset, size int)
}

// landing is the books of an inbox whose handler allocates.
type landing struct {
	memory *Memory
	blocks [Slots]span // of events that were taken, until they are answered
}

func (l *landing) flags() uint32 {
	if l == nil {
		return 0
	}
	return flagAppAlloc
}

func (l *landing) free(number uint64) {
	if l != nil && l.memory.Free != nil {
		s := l.blocks[number%Slots]
		l.memory.Free(int(s.offset), int(s.size))
	}
}

// origin is the place that the arena begins at: places are addresses where the handler allocates.
func (b *Inbox) origin() uint64 {
	if b.landing == nil {
		return 0
	}
	return b.address()
}

// allocate answers an ALLOC. From the first block on that has no room all have none.
func (b *Inbox) allocate(msg message) error {
	if b.landing == nil || len(msg.body) == 0 || len(msg.body) > maxAlloc || len(msg.body)%allocSize != 0 {
		return errors.New("place events: not asked for")
	}
	le, m, places := binary.LittleEndian, b.landing.memory, make([]byte, 0, Slots*placeSize)
	full := false
	for body := msg.body; len(body) > 0; body = body[allocSize:] {
		size, dataAt, at := int(le.Uint64(body)), int(le.Uint64(body[8:])), uint64(0)
		if !full {
			offset, ok := m.Alloc(size, dataAt)
			if full = !ok; ok && (offset < 0 || offset%blockAlign != 0 || offset > len(b.arena)-size) {
				return fmt.Errorf("place events: the allocator gave %d bytes at offset %d of an arena of %d, want a multiple of %d in it",
					size, offset, len(b.arena), blockAlign)
			} else if ok {
				at = b.address() + uint64(offset)
			}
		}
		places = le.AppendUint64(places, at)
	}
	return b.send(kindPlace, msg.number, places)
}
