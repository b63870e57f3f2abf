package executor

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/timing"
)

// slowCallback is how long a callback may keep the loop before it is reported.
const slowCallback = 10 * time.Millisecond

func now() int64 { return timing.Now() }

// callback is the crew of one: the loop itself, which runs the function to completion.
type callback struct {
	pool    *Pool
	invoke  invocation
	answer  aem.Answer
	stopped bool
}

func (c *callback) ready(*aem.Activation) bool { return !c.stopped }
func (c *callback) running() int               { return 0 } // between two calls into the loop, never
func (c *callback) spare() int                 { return c.pool.spec.Concurrency }
func (c *callback) hands() hands               { return nobody } // the loop is above all
func (c *callback) stop()                      { c.stopped = true }
func (c *callback) kill()                      { c.stopped = true }
func (c *callback) ended() bool                { return c.stopped }

func (c *callback) run(Mark) {
	a := c.pool.pop()
	a.Event.Answer = &c.answer
	err := call(c.invoke, c.pool.timeout(a), a)
	a.Event.Answer = nil
	end := now()
	if took := time.Duration(end - a.Started); took > slowCallback {
		c.pool.log.Warn("a callback kept the loop: use agent = \"thread\" for what is slow", "handler", c.pool.spec.Name, "took", took)
	}
	c.pool.completeAt(end, a, answerOf(err, &c.answer))
}

// call runs a handler's function. A panic fails the attempt, not the supervisor.
func call(run invocation, timeout time.Duration, a *aem.Activation) (err error) {
	ctx := context.Background()
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return run(ctx, a)
}
