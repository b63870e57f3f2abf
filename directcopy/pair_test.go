package directcopy

import (
	"os"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/sys"
)

func TestMain(m *testing.M) { aemtest.NoLeaks(m) }

// patience is how long a test waits for what must happen.
var patience = aemtest.Slow(20 * time.Second)

// self is the process that the tests write into: this one plays both sides.
var self = os.Getpid()

// unproved is a mailbox and its inbox before the hello.
func unproved(t testing.TB, o Options) (*Mailbox, *Inbox) {
	t.Helper()
	m, err := NewMailbox(o)
	check(t, err)
	t.Cleanup(func() { m.Close() })
	var fds []int
	for _, fd := range m.Handler() {
		fd, err = sys.Dup(fd, 0)
		check(t, err)
		fds = append(fds, fd)
	}
	m.CloseHandler()
	var memory *Memory
	if o.AppAlloc {
		memory = new(pages).memory()
	}
	b, err := Attach(fds, o.ArenaSize, memory)
	check(t, err)
	t.Cleanup(b.Close)
	return m, b
}

// pair is a mailbox and its inbox, ready for events, with an arena that stays as it is.
func pair(t testing.TB, arena, inFlight int) (*Mailbox, *Inbox) {
	t.Helper()
	return pairOf(t, Options{ArenaSize: arena}, inFlight)
}

func pairOf(t testing.TB, o Options, inFlight int) (*Mailbox, *Inbox) {
	t.Helper()
	m, b := unproved(t, o)
	said := make(chan error, 1)
	go func() { said <- b.Hello(inFlight) }()
	prove(t, m)
	check(t, <-said)
	return m, b
}

// eachCopy runs a test with an arena of the handler's, and with one that is shared.
func eachCopy(t *testing.T, test func(t *testing.T, o Options)) {
	t.Run("direct", func(t *testing.T) { test(t, Options{}) })
	t.Run("shared", func(t *testing.T) { test(t, Options{Shared: true}) })
}

// prove goes through a hello.
func prove(t testing.TB, m *Mailbox) {
	t.Helper()
	receive(t, m, Greeted)
	check(t, m.Prove(self))
	receive(t, m, Proved)
}

// receive waits until the hello makes the step want.
func receive(t testing.TB, m *Mailbox, want Progress) {
	t.Helper()
	for {
		got, err := m.Receive()
		check(t, err)
		if got == want {
			return
		}
		poll(t, m.Channel())
	}
}

// poll waits until fd is readable.
func poll(t testing.TB, fd int) {
	t.Helper()
	ep, err := sys.EpollCreate()
	check(t, err)
	defer sys.Close(ep)
	check(t, sys.EpollAdd(ep, fd, sys.EPOLLIN, 0))
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); { // a signal ends a wait early
		n, err := sys.EpollWait(ep, make([]sys.EpollEvent, 1), patience)
		check(t, err)
		if n > 0 {
			return
		}
	}
	t.Fatal("nothing comes")
}

// put publishes as many of the blocks as have room.
func put(t testing.TB, m *Mailbox, fd int, blocks ...Block) int {
	t.Helper()
	r, err := m.Reserve(blocks)
	check(t, err)
	n := r.Len()
	check(t, r.Copy(self))
	check(t, r.Publish(fd))
	return n
}

// take takes the next event, which must be there.
func take(t testing.TB, b *Inbox) Event {
	t.Helper()
	e, err := b.Take()
	check(t, err)
	return e
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
