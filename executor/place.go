package executor

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/directcopy"
)

// With alloc = "app" a process that has no activation is asked where the next ones are to land, and when it has said so
// they are copied there: ask, placed, land. One that takes long to answer holds itself only, and is ended after
// ready_timeout. Its first activation has failed an attempt then, as one that it took; the others have not begun.

// asks reports whether the process is not to be given more before what it has is answered.
func (p *process) asks() bool { return p.crew.pool.spec.Alloc == AppAlloc && len(p.flights) > 0 }

// ask asks where activations are to land, as many as the process is asked about at once.
func (p *process) ask(batch []*aem.Activation) {
	c := p.crew
	first, n, err := p.mailbox.Ask(c.blocks(batch))
	if gone := syscall.Errno(0); errors.As(err, &gone) { // the handler's fault, or its end: the events are for another
		c.takeBack(batch)
		p.lie(err)
		return
	}
	c.takeBack(batch[max(n, 1):])
	if err != nil {
		p.refuse(batch[0], err)
		return
	}
	for i, a := range batch[:n] {
		c.begin(a)
		p.flights = append(p.flights, flight{number: first + uint64(i), a: a})
	}
	p.used, p.placing = true, true
	p.lift()
	c.unrest(p)
	p.slot.follow(batch[0])
	c.work.Alarms.After(&p.deadline, c.pool.spec.ReadyTimeout, p.notPlaced)
}

func (p *process) notPlaced() {
	p.why = aem.ReasonChannel
	p.detail = fmt.Sprintf("it did not say within %v where its event is to land (arena.alloc)", p.crew.pool.spec.ReadyTimeout)
	p.terminate()
}

// placed makes the copies due.
func (p *process) placed() {
	if p.ending {
		return
	}
	p.deadline.Stop()
	p.crew.due = append(p.crew.due, p)
	p.crew.pool.loop.Wake(p.crew.pool)
}

// land copies activations to where the process wants them. Those that it has no room for go back; if it has none for the
// first, though it has no other, that is its answer.
func (p *process) land() {
	c, batch := p.crew, make([]*aem.Activation, 0, len(p.flights))
	for _, f := range p.flights {
		batch = append(batch, f.a)
	}
	p.placing = false
	r, err := p.mailbox.Reserve(c.blocks(batch))
	switch {
	case errors.Is(err, directcopy.ErrNoPlace):
		p.flights = p.flights[:0]
		c.takeBack(batch[1:])
		c.busy--
		p.rest()
		c.pool.complete(batch[0], aem.Completion{
			Outcome: aem.Retry, Reason: aem.ReasonHandler, Exit: -1, Unfit: true,
			Err: fmt.Sprintf("its allocator has no room for %d bytes of data", len(batch[0].Event.Data)),
		})
		return
	case err != nil:
		p.lie(err)
		return
	}
	p.flights = p.flights[:r.Len()]
	c.takeBack(batch[r.Len():])
	p.copy(r)
}
