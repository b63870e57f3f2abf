package directcopy

import (
	"encoding/binary"
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
	n := len(msg.body) / allocSize
	if b.landing == nil || n < 1 || n > Slots || n*allocSize != len(msg.body) {
		return fmt.Errorf("place events: %d bytes that nobody asked for", len(msg.body))
	}
	le, arena, places := binary.LittleEndian, uint64(len(b.arena)), make([]byte, n*placeSize)
	for i := range n {
		size, dataAt := le.Uint64(msg.body[i*allocSize:]), le.Uint64(msg.body[i*allocSize+8:])
		if size > arena || dataAt > size {
			return fmt.Errorf("place events: a block of %d bytes, its data at %d, in an arena of %d", size, dataAt, arena)
		}
		offset, ok := b.landing.memory.Alloc(int(size), int(dataAt))
		if !ok {
			break
		}
		if at := uint64(offset); at%blockAlign != 0 || at > arena-size {
			return fmt.Errorf("place events: the allocator gave %d bytes at offset %d of an arena of %d, want a multiple of %d in it",
				size, offset, arena, blockAlign)
		}
		le.PutUint64(places[i*placeSize:], b.address()+uint64(offset))
	}
	return b.send(kindPlace, msg.number, places)
}
