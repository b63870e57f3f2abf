package control

import (
	"sync/atomic"
	"syscall"
)

// maxHeldBytes is what all long messages together may hold while they come in and are answered: two of the largest.
// Above it the message is refused with EAGAIN. The last frame of a message is not counted, so a message of one frame,
// which is every request without much data, is always taken.
const maxHeldBytes = 2 * MaxMessageBytes

// budget counts down what may still be held. A nil budget has no end.
type budget struct{ left atomic.Int64 }

func newBudget(n int64) *budget {
	b := new(budget)
	b.left.Store(n)
	return b
}

// take counts n more bytes, or none and refuses.
func (b *budget) take(n int) error {
	if b == nil || b.left.Add(-int64(n)) >= 0 {
		return nil
	}
	b.give(n)
	return Errorf(syscall.EAGAIN, "too much data on its way from all clients together: try again")
}

// give returns n bytes.
func (b *budget) give(n int) { b.left.Add(int64(n)) }

// The number of connections is bounded. Above it a connection is told EAGAIN and closed. Those of other users than
// root and the supervisor's own leave some free, so that they cannot lock those two out.
const (
	maxConnections = 256
	maxForeign     = 192
)

// seats counts connections.
type seats struct{ all, foreign atomic.Int64 }

// take gives the peer a seat, or refuses.
func (s *seats) take(foreign bool) error {
	all := s.all.Add(1)
	mine := int64(0)
	if foreign {
		mine = s.foreign.Add(1)
	}
	if all <= maxConnections && mine <= maxForeign {
		return nil
	}
	s.give(foreign)
	return Errorf(syscall.EAGAIN, "too many connections: try again")
}

func (s *seats) give(foreign bool) {
	s.all.Add(-1)
	if foreign {
		s.foreign.Add(-1)
	}
}
