package executor

import "github.com/aem-exec/aem-exec/internal/spawn"

// A handler that is declared anew while the supervisor runs gets another pool, its heir. Both have one queue, from which only
// the heir takes: what waited for the former pool waits for the heir now, in its place, and what runs ends where it runs,
// under the rules that it began with. Until then it counts for what the heir may run at once.

// Succeed has the pool, which nobody has seen yet, take the place of another one of the same app.
func (p *Pool) Succeed(former *Pool) {
	p.queue, p.former, former.heir = former.queue, former, p
	c, makes := p.crew.(*processes)
	if f, made := former.crew.(*processes); makes && made {
		c.named = f.named
	}
	former.Retire()
	if former.started {
		p.Start()
	}
	p.loop.Wake(p)
}

// Retire has the pool run nothing more: what is with an agent ends there.
func (p *Pool) Retire() {
	p.crew.stop()
	if c, ok := p.crew.(*processes); ok {
		c.work.Places.close(c)
	}
}

// Heir is the pool that has taken this one's place, nil if none has.
func (p *Pool) Heir() *Pool { return p.heir }

// before is how many activations run yet with the pools before this one.
func (p *Pool) before() (n int) {
	for f := p.former; f != nil; f = f.former {
		n += f.crew.running()
	}
	return n
}

// Dissolve lets go of what a retired pool had, as soon as nobody is left in it: gone is called, once, when that is done. It
// is asked again and again, and reports whether it has begun.
func (p *Pool) Dissolve(gone func()) bool {
	if !p.Ended() {
		return false
	}
	c, ok := p.crew.(*processes)
	if !ok {
		p.unlink()
		gone()
		return true
	}
	if len(c.free) < len(c.slots) {
		return false
	}
	return c.work.Lane.Submit(func(*spawn.Maker) {
		for _, s := range c.slots {
			if s.leaf != nil {
				s.leaf.Remove() //nolint:errcheck // it goes with the app's group
			}
		}
		c.close()
		c.work.Loop.Post(func() {
			p.unlink()
			gone()
		})
	})
}

// unlink takes the pool out of its line.
func (p *Pool) unlink() {
	if p.heir != nil {
		p.heir.former = p.former
	}
	if p.former != nil {
		p.former.heir = p.heir
	}
}
