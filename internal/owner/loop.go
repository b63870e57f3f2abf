package owner

import (
	"fmt"
	"time"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// Loop is the desk of an owner that waits for descriptors: it has a poller, and a bell in it. Ask, Wait and Stop may be called
// from anywhere, the rest by the owner only, and by who makes it.
type Loop[T any] struct {
	*Owner[T]
	epfd, bell int
	stop       bool
	over       chan struct{}
}

// readyMost is how many descriptors one turn tells of.
const readyMost = 128

// bellData is what the bell is known by.
const bellData = ^uint64(0)

// NewLoop makes the desk of an owner, which does not wait yet.
func NewLoop[T any](report func([]T)) *Loop[T] {
	l := &Loop[T]{epfd: -1, bell: -1, over: make(chan struct{})}
	l.Owner = New(func() { sys.EventfdAdd(l.bell) }, report) //nolint:errcheck // its counter cannot be full
	return l
}

// Open makes what it waits with. It is closed by End, also after an error.
func (l *Loop[T]) Open() (err error) {
	if l.epfd, err = sys.EpollCreate(); err != nil {
		return fmt.Errorf("make poller: %w", err)
	}
	if l.bell, err = sys.Eventfd(); err == nil {
		err = l.Poll(l.bell, sys.EPOLLIN, bellData)
	}
	if err != nil {
		return fmt.Errorf("make bell: %w", err)
	}
	return nil
}

// Poll waits for a descriptor, which is known by data.
func (l *Loop[T]) Poll(fd int, events uint32, data uint64) error {
	return sys.EpollAdd(l.epfd, fd, events, data)
}

// Unpoll does not wait for it any more.
func (l *Loop[T]) Unpoll(fd int) {
	sys.EpollDel(l.epfd, fd) //nolint:errcheck // it goes with the descriptor, too
}

// Turn waits until a descriptor is ready, something was asked, or longest is over; negative, for ever. It calls ready with what is
// ready, then does what was asked, and reports whether the owner goes on.
func (l *Loop[T]) Turn(longest time.Duration, ready func(data uint64)) bool {
	var events [readyMost]sys.EpollEvent
	n, err := sys.EpollWait(l.epfd, events[:], longest)
	if err != nil {
		panic("aem: internal error: " + err.Error()) // epoll_wait refuses only what a bug can give it
	}
	for i := range n {
		if data := events[i].Data(); data == bellData {
			sys.EventfdClear(l.bell)
		} else {
			ready(data)
		}
	}
	l.Obey()
	return !l.stop
}

// Stop has the owner end. What it returns is closed when it has.
func (l *Loop[T]) Stop() <-chan struct{} {
	l.Ask(func() { l.stop = true })
	return l.over
}

// End is the last that the owner does.
func (l *Loop[T]) End() {
	for _, fd := range []int{l.bell, l.epfd} {
		if fd >= 0 {
			sys.Close(fd)
		}
	}
	close(l.over)
}
