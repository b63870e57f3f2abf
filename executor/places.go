package executor

import (
	"slices"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/limits"
)

// Places are what an app's processes may take at once, each one from being made until it is gone: limits.processes. It
// belongs to the loop. Residents and zygotes have places of their own, that nobody else is given; what a zygote forks has
// not. Of the others a place goes to the
// event that is next in the order over all handlers, whether it has a process made for it or waits for the next capsule;
// capsules that no event waits for are made only when no event wants their place.
type Places struct {
	Used     *limits.Gauge
	crews    []*processes
	reserved int // for residents and zygotes
	taken    int // by all others
}

func (p *Places) limited() bool { return p.Used.Most != 0 }

// free reports whether one process more of a crew has a place.
func (p *Places) free(c *processes) bool {
	switch {
	case !p.limited():
		return true
	case c.pool.spec.Life.stays():
		return c.stayers() < c.pool.spec.Size // else one that is to end still has it
	}
	return p.room(1)
}

// stayers is how many residents or zygotes there are, those of former pools included.
func (c *processes) stayers() int {
	n := len(c.live) - (c.seated - c.unborn)
	if c.pool.former != nil {
		if f, ok := c.pool.former.crew.(*processes); ok && f.pool.spec.Life.stays() {
			n += f.stayers()
		}
	}
	return n
}

// room reports whether n processes that have no place of their own have one.
func (p *Places) room(n int) bool { return !p.limited() || p.taken+n <= int(p.Used.Most)-p.reserved }

// wanted reports whether an event waits for a place.
func (p *Places) wanted() bool {
	for _, c := range p.crews {
		if head, _, ok := c.pool.queue.Peek(); ok && c.wants(head) {
			return true
		}
	}
	return false
}

func (p *Places) open(c *processes) {
	p.crews = append(p.crews, c)
	if c.pool.spec.Life.stays() {
		p.reserved += c.pool.spec.Size
	}
}

// close gives back what a crew had for itself: it makes no more processes.
func (p *Places) close(c *processes) {
	if i := slices.Index(p.crews, c); i >= 0 {
		p.crews = slices.Delete(p.crews, i, i+1)
		if c.pool.spec.Life.stays() {
			p.reserved -= c.pool.spec.Size
		}
	}
}

// take counts a process of a crew, and with n = -1 one less.
func (p *Places) take(c *processes, n int) {
	if !c.pool.spec.Life.stays() {
		p.taken += n
	}
	p.count(c, n)
}

// Spare reports whether there is a place for a process that has none of its own.
func (p *Places) Spare() bool { return p.room(1) }

// seat counts what zygotes of a crew fork, and programs that attached themselves.
func (p *Places) seat(c *processes, n int) {
	p.taken += n
	p.count(c, n)
}

func (p *Places) count(c *processes, n int) {
	p.Used.Add(int64(n))
	if !p.Used.Since.IsZero() && !p.wanted() {
		p.Used.Clear()
	}
	if n > 0 || !p.limited() {
		return
	}
	for _, other := range p.crews {
		if other != c {
			other.fill()
		}
	}
}

// wants reports whether the head of the queue has a process made, if there is a place for one.
func (c *processes) wants(head *aem.Activation) bool {
	spec := &c.pool.spec
	switch {
	case c.stopped || c.places() <= 0:
		return false
	case spec.Life == Zygote:
		return !c.crowded.Set() && c.pick(head) != nil
	case c.again.Set() || c.pick(head) != nil:
		return false
	}
	return spec.Life == Cold || spec.Life == Capsule && c.work.Places.limited() && c.coming() < c.pool.queue.Len()
}

// coming is how many capsules are on their way to being ready.
func (c *processes) coming() (n int) {
	for _, p := range c.live {
		if p.bound == nil && !p.used && !p.ready && !p.ending {
			n++
		}
	}
	return n
}
