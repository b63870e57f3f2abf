package directcopy

import (
	"errors"
	"fmt"
	"math/bits"
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
	want := min(1<<bits.Len64(uint64(size-1)), m.max)
	if err := m.send(kindGrow, uint32(want), -1); err != nil {
		return fmt.Errorf("grow arena: %w", err)
	}
	m.phase, m.wanted = phaseStarted, want
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
