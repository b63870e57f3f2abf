package source

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// Watcher is told when its descriptor is ready; events are the EPOLL bits.
type Watcher interface{ Ready(events uint32) }

// WatcherFunc is a function as a Watcher.
type WatcherFunc func(events uint32)

// Ready calls f.
func (f WatcherFunc) Ready(events uint32) { f(events) }

// Watch names one watched descriptor of a poller: a place and the generation that holds it, so that an event still in
// the batch for a descriptor that was removed meanwhile reaches nobody. The zero Watch names none.
type Watch uint64

// batchEvents bounds what one Wait hands out, so that one turn of the loop is bounded too.
const batchEvents = 128

// Poller waits for descriptors with one epoll instance, level-triggered. It has one owner.
type Poller struct {
	epfd   int
	places []place
	free   []uint32
	batch  [batchEvents]sys.EpollEvent
}

type place struct {
	watcher    Watcher // nil: free
	fd         int
	events     uint32
	generation uint32
	held       bool
}

// NewPoller makes a poller that watches nothing.
func NewPoller() (*Poller, error) {
	epfd, err := sys.EpollCreate()
	if err != nil {
		return nil, fmt.Errorf("make poller: %w", err)
	}
	return &Poller{epfd: epfd}, nil
}

// Close ends the poller; the descriptors it watched stay open.
func (p *Poller) Close() { sys.Close(p.epfd) }

// Add watches fd, which stays its owner's. The owner removes the watch before it closes fd.
func (p *Poller) Add(fd int, events uint32, w Watcher) (Watch, error) {
	slot := uint32(len(p.places))
	if n := len(p.free); n > 0 {
		slot, p.free = p.free[n-1], p.free[:n-1]
	} else {
		p.places = append(p.places, place{})
	}
	at := &p.places[slot]
	at.watcher, at.fd, at.events, at.held = w, fd, events, false
	at.generation++
	watch := Watch(at.generation)<<32 | Watch(slot)
	if err := sys.EpollAdd(p.epfd, fd, events, uint64(watch)); err != nil {
		at.watcher = nil
		p.free = append(p.free, slot)
		return 0, fmt.Errorf("watch descriptor: %w", err)
	}
	return watch, nil
}

// Hold stops watching until Resume.
func (p *Poller) Hold(w Watch) {
	if at := p.at(w); at != nil && !at.held {
		at.held = true
		p.check(sys.EpollDel(p.epfd, at.fd))
	}
}

// Resume watches again what Hold stopped.
func (p *Poller) Resume(w Watch) error {
	at := p.at(w)
	if at == nil || !at.held {
		return nil
	}
	if err := sys.EpollAdd(p.epfd, at.fd, at.events, uint64(w)); err != nil {
		return fmt.Errorf("watch descriptor: %w", err)
	}
	at.held = false
	return nil
}

// Change waits for other events from now on.
func (p *Poller) Change(w Watch, events uint32) {
	at := p.at(w)
	if at == nil {
		return
	}
	if at.events = events; !at.held {
		p.check(sys.EpollChange(p.epfd, at.fd, events, uint64(w)))
	}
}

// Remove forgets a watch; the zero Watch and one already removed are nothing to forget.
func (p *Poller) Remove(w Watch) {
	at := p.at(w)
	if at == nil {
		return
	}
	if !at.held {
		p.check(sys.EpollDel(p.epfd, at.fd))
	}
	at.watcher = nil
	p.free = append(p.free, uint32(w))
}

// Wait waits until something is ready or timeout is over, for ever when it is negative, and tells the watchers.
func (p *Poller) Wait(timeout time.Duration) error {
	n, err := sys.EpollWait(p.epfd, p.batch[:], timeout)
	return p.tell(n, err)
}

// briefWait is how long WaitBriefly waits: events that come more often find the loop's thread as it was.
const briefWait = 3 * time.Millisecond

// WaitBriefly is Wait for briefWait at most, during which the thread keeps what the Go runtime lets it run with, its P. A
// thread that has given that away asks for another when it wakes, and wakes the runtime's monitor before it goes on. A
// goroutine that this one has just made ready is run a little later. It reports whether nothing came all that time.
func (p *Poller) WaitBriefly(timeout time.Duration) (idle bool, err error) {
	if timeout < 0 || timeout > briefWait {
		timeout = briefWait
	}
	n, err := sys.EpollWaitHere(p.epfd, p.batch[:], timeout)
	if errors.Is(err, syscall.EINTR) {
		return false, nil
	}
	return n == 0 && timeout == briefWait, p.tell(n, err)
}

// tell tells the watchers of what is ready.
func (p *Poller) tell(n int, err error) error {
	if err != nil {
		return fmt.Errorf("wait for events: %w", err)
	}
	for i := range n {
		if at := p.at(Watch(p.batch[i].Data())); at != nil && !at.held {
			at.watcher.Ready(p.batch[i].Events)
		}
	}
	return nil
}

func (p *Poller) at(w Watch) *place {
	slot := uint32(w)
	if w == 0 || int(slot) >= len(p.places) {
		return nil
	}
	at := &p.places[slot]
	if at.watcher == nil || at.generation != uint32(w>>32) {
		return nil
	}
	return at
}

// check stops at what only a descriptor closed behind the poller's back can cause: going on would serve a stranger.
func (p *Poller) check(err error) {
	if err != nil {
		panic("aem: internal error: epoll_ctl: " + err.Error())
	}
}
