package supervisor

import (
	"fmt"
	"sync"

	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/source"
)

// inbox is how everybody else reaches the loop. It is bounded by its senders: each lane, thread, client and server
// has at most what it waits for in it.
type inbox struct {
	mu    sync.Mutex // guards calls
	calls []func()

	life sync.RWMutex // guards bell; the loop takes it at its end only
	bell int          // eventfd, rung by the first of a batch; 0: the loop has ended

	taken []func() // belongs to the loop: the batch that is being done
}

func (b *inbox) open(p *source.Poller) (err error) {
	if b.bell, err = sys.Eventfd(); err != nil {
		return fmt.Errorf("make inbox: %w", err)
	}
	_, err = p.Add(b.bell, sys.EPOLLIN, source.WatcherFunc(func(uint32) { sys.EventfdClear(b.bell) }))
	return err
}

func (b *inbox) close() {
	b.life.Lock()
	defer b.life.Unlock()
	if b.bell != 0 {
		sys.Close(b.bell)
		b.bell = 0
	}
}

// put rings without mu: a loop in a real-time class has the processor at once then, and would wait for mu until whoever
// rang has it again.
func (b *inbox) put(f func()) {
	b.mu.Lock()
	b.calls = append(b.calls, f)
	first := len(b.calls) == 1
	b.mu.Unlock()
	if first {
		b.ring()
	}
}

func (b *inbox) ring() {
	b.life.RLock()
	defer b.life.RUnlock()
	if b.bell != 0 {
		sys.EventfdAdd(b.bell) //nolint:errcheck // its counter cannot be full
	}
}

func (b *inbox) waiting() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.calls) > 0
}

// take does what was put in by now; what that puts in is for the next turn.
func (b *inbox) take() {
	b.mu.Lock()
	b.calls, b.taken = b.taken[:0], b.calls
	b.mu.Unlock()
	for i, f := range b.taken {
		b.taken[i] = nil
		f()
	}
}
