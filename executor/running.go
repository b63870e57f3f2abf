package executor

import (
	"slices"

	"github.com/aem-exec/aem-exec/aem"
)

// How activations are given to processes.

func (c *processes) ready(head *aem.Activation) bool {
	forks := c.pool.spec.Life == Zygote
	if c.stopped || c.places() <= 0 || c.quarantined() {
		return false
	}
	switch {
	case !forks && c.pick(head) != nil:
		return true
	case !c.wants(head) || !forks && !c.roomForOne():
		return false
	case forks && c.work.Places.room(1) || !forks && c.work.Places.free(c):
		return true
	case c.work.Places.Used.Since.IsZero():
		c.pool.loop.Reached(c.pool, c.work.Places.Used.Name, head.Event.Type)
	}
	return false
}

// places is how many activations more may run.
func (c *processes) places() int {
	return c.pool.spec.Concurrency - c.pool.before() - max(c.busy, c.seated)
}

// pick is the process that an activation would be given to. A connection goes only to one that has nothing else: if
// that one ends, it is known whose connection was lost. Of zygotes it is the one with the least to copy, and each
// connection has a process of its own.
func (c *processes) pick(a *aem.Activation) (best *process) {
	for _, p := range slices.Backward(c.idle) { // the one that was busy last has its memory at hand
		switch {
		case p.brood != nil:
			if best == nil || len(p.flights) < len(best.flights) {
				best = p
			}
		case a.Event.FD < 0 || len(p.flights) == 0:
			return p
		}
	}
	return best
}

// quarantined reports that the app's memory holds a thread of ours: it gets no more of them.
func (c *processes) quarantined() bool {
	return c.work.Quarantine > 0 && c.pool.spec.Handover == Direct
}

func (c *processes) running() int { return c.busy }

// spare is how many activations more could be with a process: those of a resident are bounded by what it takes ahead.
func (c *processes) spare() int {
	places := c.places()
	if life := c.pool.spec.Life; life != Resident && life != Attached {
		return places
	}
	room := 0
	for _, p := range c.idle {
		room += p.room()
	}
	return min(places, room)
}

// run runs the head of the queue, or makes the copy that is due: with it, in the same copy, goes what else the process
// takes and what comes before the heads of all other pools.
func (c *processes) run(until Mark) {
	if len(c.due) > 0 {
		p := c.due[0]
		c.due = c.due[1:]
		if p.placing {
			p.land()
			return
		}
		c.batch = append(c.batch[:0], p.bound)
		p.bound = nil
		p.give(c.batch)
		return
	}
	if err := c.forkable(1); err != nil {
		c.crowd(err)
		return
	}
	a, _, _ := c.pool.queue.Peek()
	p := c.pick(a)
	if p == nil && c.pool.spec.Life == Capsule {
		c.make(nil) // the first one to be ready gets it
		return
	}
	c.pool.take()
	if p == nil {
		c.begin(a)
		c.make(a)
		return
	}
	c.batch = append(c.batch[:0], a)
	together := func(a *aem.Activation) bool { return (a.Event.FD < 0 || p.brood != nil) && a.Interrupted == nil }
	room := min(p.room(), c.places())
	if until.Left > 0 {
		room = min(room, until.Left)
	}
	for bytes := a.Bytes; len(c.batch) < room && together(a); c.batch = append(c.batch, a) {
		next, _, ok := c.pool.queue.Peek()
		if !ok {
			break
		}
		if next.Expires != 0 && now() > next.Expires {
			break // Head gives it up
		}
		if bytes += next.Bytes; !together(next) || bytes > batchBytes || !until.After(next) || c.forkable(len(c.batch)+1) != nil {
			break
		}
		a = c.pool.take()
	}
	p.give(c.batch)
}

// batchBytes bounds what goes in one copy, unless one event alone is larger.
const batchBytes = 64 << 10

// begin counts an activation as running, if it is not yet.
func (c *processes) begin(a *aem.Activation) {
	if a.Started == 0 {
		c.busy++
		c.pool.start(a)
	}
}

// takeBack puts activations back to where they were taken from.
func (c *processes) takeBack(batch []*aem.Activation) {
	for _, a := range slices.Backward(batch) {
		if a.Started == 0 {
			c.pool.Return(a)
			continue
		}
		c.busy--
		c.pool.complete(a, aem.Completion{Outcome: aem.Returned, Exit: -1})
	}
}

// rest puts a process among those that activations are given to, if it takes any.
func (c *processes) rest(p *process) {
	if p.room() > 0 && !slices.Contains(c.idle, p) {
		c.idle = append(c.idle, p)
	}
	c.pool.loop.Wake(c.pool)
}

// unrest takes it out.
func (c *processes) unrest(p *process) { remove(&c.idle, p) }

func (c *processes) pending() *aem.Activation {
	if len(c.due) == 0 || c.quarantined() {
		return nil
	}
	if p := c.due[0]; !p.placing {
		return p.bound
	}
	return c.due[0].flights[0].a
}
