package directcopy

import (
	"errors"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// An event goes to the handler in three steps, so that the one that may take long can run elsewhere:
//
//	r, err := m.Reserve(blocks)   // owner: finds places in the arena, lays out headers
//	err = r.Copy(pid)             // anywhere: one process_vm_writev, or memcpy, for all of them
//	err = r.Publish(fd)           // owner: entries, head, doorbell

// ErrFull says that there is no room now, in the arena or among the events in flight, or that a reservation is still on
// its way: after an answer, or when that is published, there may be.
var ErrFull = errors.New("reserve: no room")

// ErrGrow says that there will be room when the arena has grown: see Grow.
var ErrGrow = errors.New("reserve: the event is larger than the arena is now")

// ErrTooLarge says that there never will be room: the event is larger than the arena may become.
var ErrTooLarge = errors.New("reserve: the event is larger than the arena may become")

// Reservation is a run of blocks with places in the arena. A mailbox has one at a time: from Reserve to Publish or
// Cancel.
type Reservation struct {
	mailbox *Mailbox
	first   uint64 // number of the first block
	count   int
	heads   []byte // headers and facts, and the padding between blocks
	iovecs  []sys.Iovec
	remotes []sys.RemoteIovec
	vector  vector
}

// Reserve finds room for as many of the blocks, from the first on, as fit in one piece: Len tells how many. There is at
// least one block.
func (m *Mailbox) Reserve(blocks []Block) (*Reservation, error) {
	r := &m.reservation
	switch {
	case m.phase != phaseProved:
		return nil, errors.New("reserve: the handler is not ready")
	case r.count != 0:
		return nil, ErrFull
	case uint64(blocks[0].Size()) > max(m.ring.size, m.max):
		return nil, ErrTooLarge
	case uint64(blocks[0].Size()) > m.ring.size:
		return nil, ErrGrow
	}
	place := m.place
	if m.request != nil {
		place = m.placeAsTold
	}
	n, heads, err := place(blocks)
	if n == 0 {
		if errors.Is(err, ErrFull) || errors.Is(err, ErrNoPlace) {
			m.stats.Full++
		}
		return nil, err
	}
	r.first, r.count = m.published, n
	r.lay(blocks[:n], heads)
	return r, nil
}

// place takes places for the blocks as long as they follow each other without a gap. It returns how many have one and
// how many bytes their heads need; the error says why the first has none.
func (m *Mailbox) place(blocks []Block) (n, heads int, err error) {
	room := min(len(blocks), int(m.hello.InFlight)-m.inFlight)
	for end := uint64(0); n < room; n++ {
		b := &blocks[n]
		if err := b.check(); err != nil {
			return n, heads, err
		}
		size := uint64(b.Size())
		offset, ok := m.ring.place(size)
		if !ok || n > 0 && offset != end || m.zygote.has(m.ring.next) {
			break
		}
		m.ring.take(offset, size)
		end = offset + size
		heads += b.headSize() + blockAlign
	}
	return n, heads, ErrFull
}

// lay lists the bytes of the blocks, and where they go. The padding after a block's data goes with the head of the next
// one, if that follows it in the arena.
func (r *Reservation) lay(blocks []Block, heads int) {
	if cap(r.heads) < heads {
		r.heads = make([]byte, 0, heads) // now, because the vector will point into it
	}
	buf := r.heads[:0]
	r.vector = vector{local: r.iovecs[:0], remote: r.remotes[:0]}
	end := uint64(0) // of the block before
	for i := range blocks {
		b, start, s := &blocks[i], len(buf), r.mailbox.ring.span(r.first+uint64(i))
		if i == 0 || s.offset != end {
			r.vector.to(r.mailbox.base + s.offset)
		}
		end = s.end()
		buf = pad(buf, start-r.vector.last().Len%blockAlign, blockAlign)
		buf = b.appendHead(buf, r.first+uint64(i))
		r.vector.add(buf[start:])
		r.vector.add(b.Data)
	}
	r.iovecs, r.remotes = r.vector.local, r.vector.remote
}

// Len is how many blocks the reservation holds. The first has the number First, the others follow.
func (r *Reservation) Len() int { return r.count }

// First is the number of the first block, which its answer will name.
func (r *Reservation) First() uint64 { return r.first }

// Bytes is how many bytes Copy has to write.
func (r *Reservation) Bytes() int { return r.vector.left }

// Copy writes the blocks into process pid, or into a shared arena, whichever pid is. EFAULT, EPERM and ESRCH say that the handler took its arena away, may not be
// written to, or is gone. That it succeeds does not say that the handler lives: only an answer does.
func (r *Reservation) Copy(pid int) error {
	for {
		if done, err := r.CopyChunk(pid); done || err != nil {
			return err
		}
	}
}

// CopyChunk writes at most 1 MiB more and tells whether all is written.
func (r *Reservation) CopyChunk(pid int) (done bool, err error) {
	if !r.vector.done() {
		err = r.mailbox.write(pid, &r.vector)
	}
	return r.vector.done(), err
}

// write writes at most chunkBytes of a vector, into the handler's memory or what is shared with it.
func (m *Mailbox) write(pid int, v *vector) error {
	switch {
	case m.shared != nil:
		return m.shared.write(v)
	case m.image != nil:
		return m.image.write(v)
	}
	return v.write(pid)
}

// Publish makes copied blocks events that the handler may take, and wakes it if it sleeps. A descriptor fd, -1 without
// one, goes with a single block to a handler that has no other; it stays the caller's, who closes it afterwards. On an
// error nothing is published.
func (r *Reservation) Publish(fd int) error {
	m := r.mailbox
	if r.count == 0 || !r.vector.done() || fd >= 0 && r.count+m.inFlight != 1 {
		return errors.New("publish: not reserved, not copied, or a descriptor for one of several events")
	}
	flags := uint32(0)
	if fd >= 0 {
		flags = flagDescriptor
	}
	for i := range r.count {
		r.enter(i, flags)
	}
	if fd >= 0 {
		// The message wakes the handler, who needs no doorbell beside it, unless it looked for the event too early
		// and sleeps again.
		m.page.handlerSleeps.Store(0)
		if err := m.send(kindDescriptor, uint32(r.first), fd); err != nil {
			m.page.handlerSleeps.Store(1)
			return err
		}
	}
	r.pass()
	return wake(&m.page.handlerSleeps, m.doorbell)
}

// enter writes the entry of block i.
func (r *Reservation) enter(i int, flags uint32) {
	n := r.first + uint64(i)
	e, s := &r.mailbox.page.entries[n%Slots], r.mailbox.ring.span(n)
	e.offset.Store(s.offset)
	e.size.Store(uint32(s.size))
	e.flags.Store(flags)
}

// pass makes the blocks the handler's.
func (r *Reservation) pass() {
	m := r.mailbox
	m.stats.Copies++
	m.stats.Bytes += uint64(r.vector.total)
	m.published += uint64(r.count)
	m.inFlight += r.count
	m.page.head.Store(uint32(m.published))
	r.release()
}

// Cancel gives the places back. No copy may be running.
func (r *Reservation) Cancel() {
	r.mailbox.ring.undo(r.count)
	r.release()
}

// release forgets the blocks, so that their data can be collected.
func (r *Reservation) release() {
	r.mailbox.stats.Short += uint64(r.vector.short)
	clear(r.iovecs)
	r.vector, r.count = vector{}, 0
}
