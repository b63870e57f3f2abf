package spawn

import (
	"runtime"
	"sync"
)

// Lane makes processes one after the other on a thread of its own. Each app has one, so that a child which is slow to
// reach its program delays only processes of that app.
type Lane struct {
	queue chan func(*Maker)
	done  chan struct{} // closed when the thread has ended

	mu     sync.Mutex // protects closed, and queue from being closed under a send
	closed bool
}

// NewLane starts a lane that lets at most queue functions wait. Its owner closes it, before the stage.
func (s *Stage) NewLane(queue int) *Lane {
	l := &Lane{queue: make(chan func(*Maker), queue), done: make(chan struct{})}
	go l.work(&Maker{stage: s})
	return l
}

func (l *Lane) work(m *Maker) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(l.done)
	for f := range l.queue {
		f(m)
	}
}

// Submit has f run on the lane, after all that was submitted before. It never waits: false means that the queue is full
// or the lane closed, and f will not run.
func (l *Lane) Submit(f func(*Maker)) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	select {
	case l.queue <- f:
		return true
	default:
		return false
	}
}

// Close takes no more functions, and returns when those taken have run.
func (l *Lane) Close() {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.queue)
	}
	l.mu.Unlock()
	<-l.done
}
