package executor

import (
	"runtime"

	"github.com/aem-exec/aem-exec/aem"
)

// threads is the crew of handlers that run on OS threads of their own, inside the supervisor: as many as run at once,
// made when first needed and kept.
type threads struct {
	pool    *Pool
	invoke  invocation
	limit   int
	made    int
	idle    []*thread
	busy    int
	stopped bool
}

// thread is one agent: a goroutine locked to its OS thread.
type thread struct{ next chan *aem.Activation }

func (c *threads) ready(*aem.Activation) bool {
	return !c.stopped && (len(c.idle) > 0 || c.made < c.limit)
}

func (c *threads) running() int { return c.busy }
func (c *threads) ended() bool  { return c.stopped && c.made == 0 }

func (c *threads) run(Mark) {
	t := c.agent()
	c.busy++
	t.next <- c.pool.pop() // never waits: its thread is idle and the channel has room
}

func (c *threads) agent() *thread {
	if n := len(c.idle); n > 0 {
		t := c.idle[n-1]
		c.idle = c.idle[:n-1]
		return t
	}
	c.made++
	t := &thread{next: make(chan *aem.Activation, 1)}
	go c.serve(t)
	return t
}

// serve is the thread's whole life; it ends when next is closed.
func (c *threads) serve(t *thread) {
	runtime.LockOSThread() // never unlocked: the OS thread ends with the goroutine
	for a := range t.next {
		err := call(c.invoke, c.pool.spec.Timeout, a)
		c.pool.loop.Post(func() { c.done(t, a, err) })
	}
	c.pool.loop.Post(func() { c.made-- })
}

func (c *threads) done(t *thread, a *aem.Activation, err error) {
	c.busy--
	if c.stopped {
		close(t.next)
	} else {
		c.idle = append(c.idle, t)
	}
	c.pool.complete(a, answerOf(err))
}

func (c *threads) stop() {
	c.stopped = true
	for _, t := range c.idle {
		close(t.next)
	}
	c.idle = nil
}

// kill can do no more than stop: a thread cannot be ended from outside. The supervisor does not wait for it beyond
// the grace.
func (c *threads) kill() { c.stop() }
