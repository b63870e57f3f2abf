package executor

import (
	"os"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// threads is the crew of handlers that run on OS threads of their own, inside the supervisor: as many as run at once,
// made when first needed and kept.
type threads struct {
	pool    *Pool
	invoke  invocation
	limit   int
	made    int
	all     []*thread // made and not told to end
	idle    []*thread
	busy    int
	stopped bool
}

// thread is one agent: a goroutine locked to its OS thread. It is made with all that it needs, so that an event costs no
// memory, and sleeps in a futex: by way of a channel, a goroutine that is locked to its thread is woken through another
// thread, which takes many times as long (the benchmark
// thread.dispatch).
type thread struct {
	order atomic.Uint32   // what the loop wants; 0: nothing yet
	a     *aem.Activation // the thread's from orderRun until done
	given aem.Activation  // the same with event in it
	event aem.Event       // the function's own: others may run for the same event
	said  aem.Answer      // by the function, beside err
	err   error           // what the function said to it
	done  func()          // for the loop

	boosted boosted // the loop's
}

// The orders.
const (
	orderRun = 1 + iota
	orderEnd
)

// tell gives an order to a thread that has none.
func (t *thread) tell(order uint32) {
	t.order.Store(order)
	sys.FutexWake(&t.order)
}

// listen waits for an order.
func (t *thread) listen() (order uint32) {
	for {
		if order = t.order.Swap(0); order != 0 {
			return order
		}
		sys.FutexWait(&t.order)
	}
}

func (c *threads) ready(*aem.Activation) bool {
	return !c.stopped && c.spare() > 0
}

func (c *threads) running() int { return c.busy }
func (c *threads) spare() int   { return c.limit - c.pool.before() - c.busy }
func (c *threads) ended() bool  { return c.stopped && c.made == 0 }

func (c *threads) run(Mark) {
	t := c.agent()
	c.busy++
	t.a = c.pool.pop()
	t.given, t.event = *t.a, *t.a.Event
	t.given.Event, t.event.Answer = &t.event, &t.said
	if c.pool.work.Booster == nil {
		t.tell(orderRun)
	} else if t.boosted.tid != 0 { // else greeted does it
		c.begin(t)
	}
}

// begin has a thread begin, as urgent as what it is given.
func (c *threads) begin(t *thread) {
	c.pool.lift(&t.boosted, int(t.a.Priority))
	t.tell(orderRun)
}

// greeted learns a thread's number, which it needs to be raised before it begins.
func (c *threads) greeted(t *thread, tid int) {
	t.boosted = boosted{by: c.pool.work.Booster, pid: os.Getpid(), tid: tid}
	c.begin(t)
}

func (c *threads) hands() hands {
	return func(yield func(*boosted, int) bool) {
		for _, t := range c.all {
			has := -1
			if t.a != nil {
				has = int(t.a.Priority)
			}
			if !yield(&t.boosted, has) {
				return
			}
		}
	}
}

func (c *threads) agent() *thread {
	if n := len(c.idle); n > 0 {
		t := c.idle[n-1]
		c.idle = c.idle[:n-1]
		return t
	}
	c.made++
	t := new(thread)
	t.done = func() { c.done(t) }
	c.all = append(c.all, t)
	go c.serve(t)
	return t
}

// serve is the thread's whole life.
func (c *threads) serve(t *thread) {
	runtime.LockOSThread() // never unlocked: the OS thread ends with the goroutine, and its scheduling with it
	unfit := c.pool.spec.Scheduling.ofThread()
	if c.pool.work.Booster != nil {
		tid := sys.Gettid()
		c.pool.loop.Post(func() { c.greeted(t, tid) })
	}
	for t.listen() == orderRun {
		if t.err = unfit; unfit == nil {
			t.err = call(c.invoke, c.pool.timeout(&t.given), &t.given)
		}
		c.pool.loop.Post(t.done)
	}
	c.pool.loop.Post(func() { c.made-- })
}

func (c *threads) done(t *thread) {
	a, err := t.a, t.err
	c.busy--
	answer := answerOf(err, &t.said)
	t.a = nil
	if c.pool.lift(&t.boosted, -1); c.stopped {
		c.end(t)
	} else {
		c.idle = append(c.idle, t)
	}
	c.pool.complete(a, answer)
}

func (c *threads) stop() {
	c.stopped = true
	for _, t := range c.idle {
		c.end(t)
	}
	c.idle = nil
}

// end tells a thread to end. Its number may become another's.
func (c *threads) end(t *thread) {
	c.all = slices.DeleteFunc(c.all, func(other *thread) bool { return other == t })
	t.boosted.tid = 0
	t.tell(orderEnd)
}

// kill can do no more than stop: a thread cannot be ended from outside. The supervisor does not wait for it beyond
// the grace.
func (c *threads) kill() { c.stop() }
