package control

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// Session is one connection of the server for as long as it lasts, for what its peer makes that is to end with it. The
// server makes it and ends it; its methods may be called from anywhere.
type Session struct {
	// Kept is the answerer's own, from one request to the next.
	Kept any

	socket *net.UnixConn
	pidfd  int // of who was given the connection; -1: the kernel knows who connected

	sockets atomic.Bool // the peer's requests may bring some

	mu    sync.Mutex // guards what follows
	ended bool
	ends  []func()
}

// AtEnd has f called when the connection ends, or now if it has.
func (s *Session) AtEnd(f func()) {
	s.mu.Lock()
	if !s.ended {
		s.ends = append(s.ends, f)
		f = nil
	}
	s.mu.Unlock()
	if f != nil {
		f()
	}
}

// TakeSockets has descriptors that come with requests be taken from now on. They are closed when the request is answered, by
// the connection's goroutine: whatever they are of, nobody else waits for that.
func (s *Session) TakeSockets() { s.sockets.Store(true) }

// Hangup ends the connection from here: what is being answered is the last.
func (s *Session) Hangup() { _ = s.socket.CloseRead() }

func (s *Session) end() {
	s.mu.Lock()
	ends := s.ends
	s.ended, s.ends = true, nil
	s.mu.Unlock()
	for _, f := range ends {
		f()
	}
}

// Process is a descriptor of the process that connected, its taker's to close. A kernel that cannot name that process for
// certain, before Linux 6.5, is errors.ErrUnsupported.
func (s *Session) Process() (pidfd int, err error) {
	if s.pidfd >= 0 {
		return sys.Dup(s.pidfd, 0)
	}
	raw, err := s.socket.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("find peer's process: %w", err)
	}
	ctlErr := raw.Control(func(fd uintptr) { pidfd, err = sys.PeerPIDFD(int(fd)) })
	if err == nil {
		err = ctlErr
	}
	if errors.Is(err, sys.ErrNoPeerPIDFD) {
		err = errors.ErrUnsupported
	}
	if err != nil {
		return -1, fmt.Errorf("find peer's process: %w", err)
	}
	return pidfd, nil
}
