package executor

import (
	"errors"
	"slices"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/spawn"
	"github.com/aem-exec/aem-exec/internal/timing"
)

// How many processes there are, and when they are made: for an event, or ahead of it.

// Ahead is how many processes are made before their events.
func (s *Spec) Ahead() int {
	if s.Life == Cold {
		return 0
	}
	return s.Size
}

// most is how many processes there may be at once, those that wait for their event included.
func (c *processes) most() int { return c.pool.spec.Ahead() + c.pool.spec.Concurrency }

// spareSlots is how many slots there may be beyond that, of processes that are gone and not cleaned up after yet.
const spareSlots = 8

// roomForOne reports whether one process more may be made, and has a slot.
func (c *processes) roomForOne() bool {
	return len(c.live) < c.most() && (len(c.free) > 0 || len(c.slots) < c.most()+spareSlots)
}

// missTell is how long misses are counted before they are told.
const missTell = time.Second

// pushed tells that one activation more waits. It goes to the first capsule that is ready, not to one made for it: that
// would come last.
func (c *processes) pushed() {
	if c.pool.spec.Life != Capsule || len(c.idle) >= c.pool.queue.Len() {
		return
	}
	c.fill()
	if c.misses++; c.misses > 1 {
		return
	}
	c.work.Alarms.After(&c.tell, missTell, func() {
		c.pool.log.Warn("no capsule was ready", "app", c.work.App, "handler", c.pool.spec.Name,
			"waited", c.misses, "size", c.pool.spec.Size)
		c.misses = 0
	})
}

// fill makes the processes that are to be there before their events. A bank of capsules is filled when half of it is
// used, or in a lull, and then whole: the events that find the first half have no process made beside them, on the
// processors that their handlers run on.
func (c *processes) fill() {
	if c.stopped || c.again.Set() {
		return
	}
	spec := &c.pool.spec
	want, ahead := spec.Ahead(), 0
	for _, p := range c.live {
		if !p.ending && p.zygote == nil && (spec.Life.stays() || p.bound == nil && !p.used) {
			ahead++
		}
	}
	if spec.Life == Capsule {
		if c.work.Places.limited() && c.work.Places.wanted() {
			return
		}
		ahead -= c.pool.queue.Len() // those that have their activation already
		if ahead > want/2 && !c.filling {
			if ahead < want {
				c.work.Alarms.After(&c.lull, lullWait, c.topUp)
			}
			return
		}
	}
	for ; ahead < want && c.roomForOne() && c.work.Places.free(c); ahead++ {
		c.make(nil)
	}
	c.filling = ahead < want
}

// lullWait is how long no capsule is used before the bank is filled all the same.
const lullWait = time.Second

func (c *processes) topUp() {
	c.filling = true
	c.fill()
}

// make has the lane make a process, for activation a or ahead of any.
func (c *processes) make(a *aem.Activation) {
	p := &process{crew: c, slot: c.slot(), bound: a}
	if c.pool.spec.Life == Zygote {
		p.brood = &brood{children: map[uint64]*process{}}
	}
	c.live = append(c.live, p)
	c.work.Places.take(c, 1)
	if !c.work.Lane.Submit(p.make) {
		p.made(errors.New("make process: the app's lane is full"))
	}
}

func (c *processes) slot() *slot {
	if n := len(c.free); n > 0 {
		s := c.free[n-1]
		c.free = c.free[:n-1]
		return s
	}
	s := &slot{crew: c, name: slotName(c.pool.spec.Name, c.named)}
	c.named++
	c.slots = append(c.slots, s)
	return s
}

// trouble makes no processes for a while.
func (c *processes) trouble(err error) {
	some := slices.ContainsFunc(c.live, func(p *process) bool { return p.zygote == nil && (p.brood == nil || !p.brood.left) })
	c.pause(&c.again, err, !some)
}

// pause sets an alarm for a while, which grows with each failure, and never gives up.
func (c *processes) pause(alarm *timing.Alarm, err error, down bool) {
	if c.stopped {
		return
	}
	if reset := c.pool.spec.Restart.Reset; reset > 0 && now()-c.failedAt > int64(reset) {
		c.failed = 0
	}
	c.failed++
	wait := c.pool.spec.Restart.Next(c.failed)
	c.failedAt = now() + int64(wait) // the wait itself is not time that went well
	c.pool.loop.AgentTrouble(c.pool, err, down)
	c.work.Alarms.After(alarm, wait, func() {
		c.pool.loop.AgentTrouble(c.pool, nil, false)
		c.fill()
	})
}

// forget takes a process that is gone off the lists, and has its slot cleaned and used again. What its end means comes
// next, and then fill: after trouble none is made at once.
func (c *processes) forget(p *process) {
	remove(&c.live, p)
	remove(&c.idle, p)
	remove(&c.due, p)
	if p.zygote != nil {
		p.zygote.lost(p)
		return
	}
	c.recycle(p.slot)
	c.work.Places.take(c, -1)
}

// leftWait is how often a slot that still has processes is looked at again.
const leftWait = time.Second

// recycle makes a slot fit for its next process. If somebody is left in it that is for the lane.
func (c *processes) recycle(s *slot) {
	if s.vacant() {
		c.free = append(c.free, s)
		c.pool.loop.Wake(c.pool)
		return
	}
	submitted := c.work.Lane.Submit(func(*spawn.Maker) {
		empty := s.clean()
		c.work.Loop.Post(func() {
			if empty {
				c.free = append(c.free, s)
				c.fill()
				c.pool.loop.Wake(c.pool)
				return
			}
			c.work.Alarms.After(new(timing.Alarm), leftWait, func() { c.recycle(s) })
		})
	})
	if !submitted && !c.stopped {
		c.work.Alarms.After(new(timing.Alarm), leftWait, func() { c.recycle(s) })
	}
}
