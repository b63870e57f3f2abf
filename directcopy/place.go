package directcopy

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Where the handler allocates (Options.AppAlloc), places are asked for before the three steps of an event:
//
//	first, n, err := m.Ask(blocks)    // owner: tells the handler how much room they need
//	progress, err := m.Receive()      // owner: Placed
//	r, err := m.Reserve(blocks[:n])   // owner: of those that have one
//
// The handler is asked when it has no event, as it is for another arena: it has one thread, and that runs handlers.

// ErrNoPlace says that the handler's allocator has no room for the first of the blocks that it was asked about.
var ErrNoPlace = errors.New("reserve: the handler's allocator has no room")

// request is what a handler that allocates is asked for.
type request struct {
	count  int // blocks that places are asked for; 0: none are
	told   bool
	sizes  [Slots]uint64
	places [Slots]uint64 // addresses; 0 from the first on that has no room
}

// An ALLOC has a size and the offset of the data for each block, a PLACE an address.
const (
	allocSize = 16
	placeSize = 8
	maxAlloc  = Slots * allocSize
)

// open reports whether an answer is awaited.
func (q *request) open() bool { return q != nil && q.count > 0 && !q.told }

// Ask asks the handler where blocks are to land, as many of them, from the first on, as it takes in flight: n tells how
// many, first the number that the first of them will have. There is at least one block. While an event is in flight, or
// places were asked for and not used, it is ErrFull; ErrTooLarge says that the first is larger than the whole arena.
func (m *Mailbox) Ask(blocks []Block) (first uint64, n int, err error) {
	q := m.request
	switch {
	case q == nil || m.phase != phaseProved:
		return 0, 0, errors.New("ask for places: the handler is not ready, or does not allocate")
	case m.inFlight+m.reservation.count+q.count > 0:
		return 0, 0, ErrFull
	case uint64(blocks[0].Size()) > m.ring.size:
		return 0, 0, ErrTooLarge
	}
	var buf [messageHeaderSize + maxAlloc]byte
	body := buf[messageHeaderSize:messageHeaderSize]
	for ; n < min(len(blocks), int(m.hello.InFlight)); n++ {
		b := &blocks[n]
		if err = b.check(); err != nil || uint64(b.Size()) > m.ring.size {
			break
		}
		q.sizes[n] = uint64(b.Size())
		body = binary.LittleEndian.AppendUint64(body, q.sizes[n])
		body = binary.LittleEndian.AppendUint64(body, uint64(b.headSize()))
	}
	if n == 0 {
		return 0, 0, err
	}
	if err = m.post(appendMessage(buf[:0], kindAlloc, uint32(m.published), body), -1); err != nil {
		return 0, 0, fmt.Errorf("ask for places: %w", err)
	}
	q.count, q.told = n, false
	return m.published, n, nil
}

// told takes the handler's places, each of which must be a block's own.
func (m *Mailbox) told(msg message) error {
	q, first := m.request, uint32(m.published)
	if msg.number != first || len(msg.body) != q.count*placeSize {
		return fmt.Errorf("read places: %d bytes from event %d on, want places for %d events from %d on",
			len(msg.body), msg.number, q.count, first)
	}
	start, end := m.origin, m.origin+m.ring.size
	for i := range q.count {
		at, number := binary.LittleEndian.Uint64(msg.body[i*placeSize:]), m.published+uint64(i)
		q.places[i] = at
		switch {
		case at == 0:
		case i > 0 && q.places[i-1] == 0:
			return fmt.Errorf("read places: event %d has one, and the event before has none", number)
		case at%blockAlign != 0 || at < start || at > end || end-at < q.sizes[i]:
			return fmt.Errorf("read places: event %d cannot have %d bytes at %#x of an arena from %#x to %#x", number, q.sizes[i], at, start, end)
		}
		for j := range i {
			if at != 0 && at < q.places[j]+q.sizes[j] && q.places[j] < at+q.sizes[i] {
				return fmt.Errorf("read places: event %d at %#x overlaps event %d", number, at, m.published+uint64(j))
			}
		}
	}
	q.told = true
	return nil
}

// placeAsTold is place for a handler that allocates: the blocks are those that it was asked about.
func (m *Mailbox) placeAsTold(blocks []Block) (n, heads int, err error) {
	q := m.request
	if !q.told || q.count > len(blocks) {
		return 0, 0, errors.New("reserve: the handler was not asked for places")
	}
	for ; n < q.count && q.places[n] != 0; n++ {
		if uint64(blocks[n].Size()) != q.sizes[n] {
			m.ring.undo(n)
			return 0, 0, fmt.Errorf("reserve: a block of %d bytes, the handler was asked about %d", blocks[n].Size(), q.sizes[n])
		}
		m.ring.take(q.places[n], q.sizes[n])
		heads += blocks[n].headSize() + blockAlign
	}
	q.count, q.told = 0, false
	return n, heads, ErrNoPlace
}
