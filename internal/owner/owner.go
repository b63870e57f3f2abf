// Package owner is the desk of a goroutine that alone owns something: what others ask it to do, and what it reports to
// them, in batches. What it waits for, and how it is woken, is its own business; who waits for descriptors has a Loop.
package owner

import "sync"

// BatchMost is how many things are in one report.
const BatchMost = 256

// Owner is such a desk. Ask may be called from anywhere, the rest by the owner only.
type Owner[T any] struct {
	ring   func()
	report func([]T)

	mu    sync.Mutex // guards asked
	asked []func()

	batch []T
}

// New makes the desk of an owner that ring wakes, from anywhere. What report is given is the callee's until it returns; the
// owner waits for that.
func New[T any](ring func(), report func([]T)) *Owner[T] {
	return &Owner[T]{ring: ring, report: report}
}

// Ask has the owner call f, after all that was asked before. It waits for nothing.
func (o *Owner[T]) Ask(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked = append(o.asked, f)
	o.ring()
}

// Wait returns when all that was asked before is done.
func (o *Owner[T]) Wait() {
	done := make(chan struct{})
	o.Ask(func() { close(done) })
	<-done
}

// Obey does what was asked.
func (o *Owner[T]) Obey() {
	o.mu.Lock()
	asked := o.asked
	o.asked = nil
	o.mu.Unlock()
	for _, f := range asked {
		f()
	}
}

// Tell puts something into the batch, and reports it when it is full.
func (o *Owner[T]) Tell(v T) {
	if o.batch = append(o.batch, v); len(o.batch) == BatchMost {
		o.Flush()
	}
}

// Flush reports the batch.
func (o *Owner[T]) Flush() {
	if len(o.batch) > 0 {
		o.report(o.batch)
		clear(o.batch)
		o.batch = o.batch[:0]
	}
}
