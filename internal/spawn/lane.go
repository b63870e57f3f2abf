package spawn

import (
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// Lane makes processes one after the other on a thread of its own. Each app has one, so that a child which is slow to
// reach its program delays only processes of that app.
//
// Its thread sleeps in a read of an eventfd and not in a channel: a goroutine that is locked to its thread is woken by
// way of another thread, which takes several times as long as the kernel's own wake. One that had nothing to do for a
// while ends, since a thread takes some 30 KiB; the next function starts another.
type Lane struct {
	maker Maker
	begin func(*Maker)
	bell  int // eventfd

	mu     sync.Mutex // protects what follows
	queue  []func(*Maker)
	most   int           // functions that may wait
	done   chan struct{} // closed when the thread has ended; nil: there is none
	rest   *time.Timer
	kept   bool // its thread does not end
	used   bool // since rest last looked
	ending bool // as soon as nothing waits
	closed bool
}

// laneIdle is how long a thread has nothing to do before it ends, and at most twice that.
const laneIdle = 5 * time.Second

// NewLane makes a lane that lets at most queue functions wait. Each of its threads does begin first, unless it is nil. Its
// owner closes it, before the stage.
func (s *Stage) NewLane(queue int, begin func(*Maker)) (*Lane, error) {
	bell, err := sys.EventfdBlocking()
	if err != nil {
		return nil, fmt.Errorf("make lane: %w", err)
	}
	return &Lane{maker: Maker{stage: s}, begin: begin, bell: bell, most: queue}, nil
}

func (l *Lane) work(done chan struct{}) {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, and with it what it gave up
	defer close(done)
	l.maker.list.unbound, l.maker.entered = false, false // another thread may have been
	if l.begin != nil {
		l.begin(&l.maker)
	}
	var taken []func(*Maker)
	for {
		var ended bool
		if taken, ended = l.take(taken); ended {
			return
		}
		if len(taken) == 0 {
			sys.EventfdWait(l.bell)
		}
		for i, f := range taken {
			taken[i] = nil
			f(&l.maker)
		}
	}
}

// take takes all that waits and leaves used for what comes. It reports that the thread is to end, when nothing waits:
// what comes then starts another.
func (l *Lane) take(used []func(*Maker)) (taken []func(*Maker), ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 && (l.ending || l.closed) {
		l.done = nil
		return nil, true
	}
	taken, l.queue = l.queue, used[:0]
	return taken, false
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
	l.used, l.ending = true, false
	switch {
	case l.done == nil:
		l.done = make(chan struct{})
		if l.rest == nil {
			l.rest = time.AfterFunc(laneIdle, l.look)
		}
		l.rest.Reset(laneIdle)
		go l.work(l.done)
	case len(l.queue) == 1:
		l.ring()
	}
	return true
}

// Widen lets at least queue functions wait.
func (l *Lane) Widen(queue int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.most = max(l.most, queue)
}

// KeepThread has the thread that works now, or the next one, stay: it has what another would not have.
func (l *Lane) KeepThread() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = true
}

// look has a thread end that was not used since it was looked at before.
func (l *Lane) look() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done == nil || l.closed {
		return
	}
	l.rest.Reset(laneIdle)
	if !l.used && !l.kept && len(l.queue) == 0 {
		l.ending = true
		l.ring()
	}
	l.used = false
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
	done := l.done
	if done != nil {
		l.rest.Stop()
		l.ring()
	}
	l.mu.Unlock()
	if done != nil {
		<-done
	}
	sys.Close(l.bell)
}
