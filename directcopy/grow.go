package directcopy

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// Grow asks the handler for a larger arena, where a block of size bytes has room: a power of two, or what the arena may
// grow to. The hello begins anew, so Receive reports Greeted and Proved once more, and until then Reserve refuses. While
// an event is in flight, or a reservation on its way, it is ErrFull: what lies in the arena does not move.
func (m *Mailbox) Grow(size int) error {
	switch {
	case m.phase != phaseProved:
		return errors.New("grow arena: the handler is not ready")
	case size < 1 || uint64(size) > m.max:
		return ErrTooLarge
	case m.inFlight+m.reservation.count > 0:
		return ErrFull
	}
	want := min(max(uint64(1)<<bits.Len64(uint64(size-1)), pageSize), m.max)
	if err := m.sendGrow(want); err != nil {
		return fmt.Errorf("grow arena: %w", err)
	}
	m.phase, m.wanted = phaseStarted, want
	return nil
}

// sendGrow sends the file of a shared arena with the message.
func (m *Mailbox) sendGrow(size uint64) error {
	if m.shared == nil {
		return m.send(kindGrow, uint32(size), -1)
	}
	bytes, file, err := newSharedArena(int(size))
	if err != nil {
		return err
	}
	defer sys.Close(file)
	if err = m.send(kindGrow, uint32(size), file); err != nil {
		sys.Munmap(bytes) //nolint:errcheck // the range is mapped
		return err
	}
	m.shared.replace(bytes)
	return nil
}

// grow gives the arena up and makes a larger one. Nothing lies in the old one, and the two are never there at once.
func (b *Inbox) grow(size int) error {
	b.dropArena()
	if err := b.makeArena(size); err != nil {
		return err
	}
	return b.Hello(b.inFlight)
}
