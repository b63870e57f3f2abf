package control

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// A handler process may be given a connection when it is made, beside the socket that others find by its path: it needs no
// leave to go there, and speaks for its own app alone. Both ends are made by the supervisor, so the kernel cannot say who
// is at the other one: the supervisor says it.

// Given is the descriptor of such a connection in the process.
const (
	Given         = 9
	givenVariable = "AEM_CONTROL"
)

// GivenEnvironment is what tells a process of it.
func GivenEnvironment() string { return givenVariable + "=" + strconv.Itoa(Given) }

// guest is such a connection, before it is served.
type guest struct {
	socket *net.UnixConn
	pidfd  int
	peer   Peer
}

// guests come before the server serves, while it does, and, in vain, after it.
type guests struct {
	mu    sync.Mutex // guards what follows
	serve func(guest)
	early []guest
	over  bool
}

// Admit serves a connection as one of peer, a process that pidfd is of. Both descriptors are the server's from here on. It may
// be called from anywhere.
func (l *Listener) Admit(fd, pidfd int, peer Peer) error {
	u, err := connection(fd)
	if err != nil {
		sys.Close(pidfd)
		return err
	}
	g := guest{u, pidfd, peer}
	l.guests.mu.Lock()
	defer l.guests.mu.Unlock()
	switch {
	case l.guests.over:
		g.leave()
	case l.guests.serve == nil:
		l.guests.early = append(l.guests.early, g)
	default:
		l.guests.serve(g)
	}
	return nil
}

func (g *guest) leave() {
	g.socket.Close() //nolint:errcheck // it is given up
	sys.Close(g.pidfd)
}

// welcome has f serve those who are there, and who come.
func (g *guests) welcome(f func(guest)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.serve = f
	for _, early := range g.early {
		f(early)
	}
	g.early = nil
}

// close sends away who comes from now on, and who has not been served.
func (g *guests) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over = true
	for _, early := range g.early {
		early.leave()
	}
	g.early = nil
}

// connection makes a connection of a descriptor, which is gone then.
func connection(fd int) (*net.UnixConn, error) {
	f := os.NewFile(uintptr(fd), "control")
	if f == nil {
		return nil, syscall.EBADF
	}
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, syscall.ENOTSOCK
	}
	return u, nil
}

// KeepGiven has programs that this process starts not get the connection that it was given, if it was.
func KeepGiven() {
	if os.Getenv(givenVariable) != "" {
		syscall.CloseOnExec(Given)
	}
}

// TakeGiven is the connection that this process was given, for one taker; nil: it was given none, or it is taken.
func TakeGiven() (*Client, error) {
	if os.Getenv(givenVariable) == "" {
		return nil, nil
	}
	os.Unsetenv(givenVariable) //nolint:errcheck // it refuses impossible names only
	u, err := connection(Given)
	if err != nil {
		return nil, fmt.Errorf("take connection %d: %w", Given, err)
	}
	return &Client{conn: newConn(u, messageTime, nil)}, nil
}
