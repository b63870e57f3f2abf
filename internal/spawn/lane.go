package spawn

import (
	"fmt"
	"runtime"
	"sync"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// Lane makes processes one after the other on a thread of its own. Each app has one, so that a child which is slow to
// reach its program delays only processes of that app.
//
// Its thread sleeps in a read of an eventfd and not in a channel: a goroutine that is locked to its thread is woken by
// way of another thread, which takes several times as long as the kernel's own wake.
type Lane struct {
	maker Maker
	bell  int           // eventfd
	done  chan struct{} // closed when the thread has ended

	mu     sync.Mutex // protects what follows
	queue  []func(*Maker)
	most   int // functions that may wait
	closed bool
}

// NewLane starts a lane that lets at most queue functions wait. Its owner closes it, before the stage.
func (s *Stage) NewLane(queue int) (*Lane, error) {
	bell, err := sys.EventfdBlocking()
	if err != nil {
		return nil, fmt.Errorf("make lane: %w", err)
	}
	l := &Lane{maker: Maker{stage: s}, bell: bell, done: make(chan struct{}), most: queue}
	go l.work()
	return l, nil
}

func (l *Lane) work() {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, and with it what it gave up
	defer close(l.done)
	var taken []func(*Maker)
	for {
		var closed bool
		if taken, closed = l.take(taken); len(taken) == 0 {
			if closed {
				return
			}
			sys.EventfdWait(l.bell)
		}
		for i, f := range taken {
			taken[i] = nil
			f(&l.maker)
		}
	}
}

// take takes all that waits and leaves used for what comes.
func (l *Lane) take(used []func(*Maker)) (taken []func(*Maker), closed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken, l.queue = l.queue, used[:0]
	return taken, l.closed
}

// Submit has f run on the lane, after all that was submitted before. It never waits: false means that the queue is full
// or the lane closed, and f will not run.
func (l *Lane) Submit(f func(*Maker)) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.queue) == l.most {
		return false
	}
	l.queue = append(l.queue, f)
	if len(l.queue) == 1 {
		l.ring()
	}
	return true
}

func (l *Lane) ring() { sys.EventfdAdd(l.bell) } //nolint:errcheck // its counter cannot be full

// Close takes no more functions, and returns when those taken have run.
func (l *Lane) Close() {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.closed = true
	l.ring()
	l.mu.Unlock()
	<-l.done
	sys.Close(l.bell)
}
