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
	mu    sync.Mutex // guards what follows
	bell  int        // eventfd, rung by the first of a batch; 0: the loop has ended
	calls []func()

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
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bell != 0 {
		sys.Close(b.bell)
		b.bell = 0
	}
}

func (b *inbox) put(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, f)
	if len(b.calls) == 1 && b.bell != 0 {
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
