package executor

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/directcopy"
)

// brood is what a zygote has beyond other processes. Its flights are the events that it was given and that no child of
// it has yet; each has a seat. When a child is born its flight moves there, and the supervisor's copy of its connection
// is closed: until then nothing is lost with the zygote that it had not taken.
//
// A zygote that ends is not gone before its children are: they run on, and speak through its mailbox.
type brood struct {
	children map[uint64]*process // by the numbers of their events
	ended    []*process          // those that ended, of whom the zygote is not asked yet
	asked    int                 // those of whom it is
	doomed   bool                // all are killed, and those still to be born
	left     bool                // the zygote itself has ended
	how      ending              // and how
	stderr   string
}

// maxAsked bounds how many children a zygote is asked about at once: the messages wait in its channel until it reads.
const maxAsked = 64

// birthWait is how long a child may take to say that it is there when its zygote has died: it is the first thing that it
// does, on a machine that may have much to do.
const birthWait = time.Second

// drainSteps is more than a channel holds: net.core.wmem_default is 212,992 bytes, and a message takes 768 of them at
// least (include/linux/skbuff.h, SKB_TRUESIZE).
const drainSteps = 512

// drain takes all that had been said when the process ended.
func (p *process) drain() {
	p.listen(drainSteps, func(step directcopy.Progress) bool { return step == directcopy.Nothing })
}

// forkable refuses n events that are to be given to zygotes, when there is no room for their processes beside those that
// are to be made by now: a zygote would find that out too late.
func (c *processes) forkable(n int) error {
	switch {
	case c.pool.spec.Life != Zygote:
		return nil
	case !c.work.Places.room(n):
		return errNoRoom
	}
	return c.work.roomFor(c.unborn + n)
}

// crowd has zygotes copied no more for a while.
func (c *processes) crowd(err error) {
	if errors.Is(err, errNoRoom) {
		c.pool.loop.Reached(c.pool, "pids", "")
	}
	c.pause(&c.crowded, err, c.busy == 0)
}

// seat makes flights of activations, each with a seat for its child.
func (p *process) seat(batch []*aem.Activation, first uint64) error {
	c := p.crew
	before := len(p.flights)
	for i, a := range batch {
		seat, err := p.slot.seat(a)
		if err != nil {
			for _, f := range p.flights[before:] {
				f.seat.rise()
			}
			p.flights = p.flights[:before]
			return err
		}
		p.flights = append(p.flights, flight{number: first + uint64(i), a: a, seat: seat})
	}
	for _, a := range batch {
		c.begin(a)
	}
	c.seated += len(batch)
	c.unborn += len(batch)
	c.work.Places.seat(c, len(batch))
	return nil
}

// publish publishes the newest flights: each with what its child writes to, and its connection.
func (p *process) publish(r *directcopy.Reservation) {
	var fds [][]int
	for _, f := range p.flights[len(p.flights)-r.Len():] {
		d := []int{f.seat.stdout.Write, f.seat.stderr.Write}
		if f.a.Event.FD >= 0 {
			d = append(d, f.a.Event.FD)
		}
		fds = append(fds, d)
	}
	if err := r.PublishEach(fds); err != nil {
		p.trip(err)
	}
}

// heardOfChild does what a message of a child, or about one, says.
func (p *process) heardOfChild(step directcopy.Progress) {
	news := p.mailbox.Child()
	switch step {
	case directcopy.Born:
		p.born(&news)
	case directcopy.Unborn:
		p.stillborn(&news)
	case directcopy.Answered:
		if k := p.brood.children[news.Number]; k != nil {
			k.complete(&news.Answer)
			k.lift()
			k.retire()
		}
	case directcopy.Ended:
		p.brood.asked--
		if k := p.brood.children[news.Number]; k != nil {
			k.forked.exit, k.forked.told = news.Exit, true
			k.exited(0)
		}
		p.askEnds()
	}
	if p.owes() { // and it did something
		p.deadline.Stop()
		p.owe()
	}
}

// owes reports whether something is to come of the zygote at all: it has said hello, which ready_timeout is for else, and
// has not ended.
func (p *process) owes() bool { return p.ready && !p.brood.left && p.asked == 0 }

// owe gives the zygote ready_timeout for the next thing that is to come of it: a child, or how one ended.
func (p *process) owe() {
	c := p.crew
	switch {
	case !p.owes():
	case len(p.flights)+p.brood.asked == 0:
		p.deadline.Stop()
	case !p.deadline.Set():
		c.work.Alarms.After(&p.deadline, c.pool.spec.ReadyTimeout, p.hangs)
	}
}

// hangs ends a zygote that forks no more. Its children need it for nothing.
func (p *process) hangs() {
	p.why, p.detail = aem.ReasonChannel, fmt.Sprintf("the zygote did nothing for %v", p.crew.pool.spec.ReadyTimeout)
	p.strike()
}

// disembark takes a flight from the zygote.
func (p *process) disembark(number uint64) (f flight, ok bool) {
	i := slices.IndexFunc(p.flights, func(f flight) bool { return f.number == number })
	if i < 0 {
		return f, false
	}
	f = p.flights[i]
	p.flights = slices.Delete(p.flights, i, i+1)
	p.crew.unborn--
	return f, true
}

// stillborn gives an event back that the zygote could make no process for.
func (p *process) stillborn(news *directcopy.Child) {
	c := p.crew
	f, ok := p.disembark(news.Number)
	if !ok {
		return
	}
	err := fmt.Errorf("fork: %w", news.Errno)
	p.slot.blame(false) // a refused fork is nobody else's
	p.unseat(f.seat)
	c.giveBack(f.a, aem.Completion{Reason: aem.ReasonSpawn, Err: err.Error()})
	c.crowd(fmt.Errorf("handler %s: %w", c.pool.spec.Name, err))
	p.settle()
}

// giveBack ends an attempt that was none.
func (c *processes) giveBack(a *aem.Activation, completion aem.Completion) {
	c.busy--
	completion.Outcome, completion.Exit = aem.Returned, -1
	c.pool.complete(a, completion)
}

// settle is what a zygote does when an event left its arena, or a child is gone.
func (p *process) settle() {
	switch {
	case p.brood.left:
		p.passOn()
	case p.crew.stopped && p.atRest():
		p.end()
	default:
		p.full = false
		p.lift()
		p.crew.rest(p)
	}
}

// askEnds asks how children ended that did.
func (p *process) askEnds() {
	b := p.brood
	for b.asked < maxAsked && len(b.ended) > 0 && !b.left {
		k := b.ended[0]
		b.ended = b.ended[1:]
		k.forked.asked = true
		p.crew.work.Loop.Reaped(k.pid) // from here on its number may become another's
		b.asked++
		if err := p.mailbox.AskEnd(k.forked.number); err != nil {
			p.trip(err)
			return
		}
	}
	p.owe()
}

// unseat takes a seat back.
func (p *process) unseat(seat *slot) {
	c := p.crew
	seat.rise()
	c.seated--
	c.work.Places.seat(c, -1)
	c.pool.loop.Wake(c.pool)
}

// lost forgets a child that is gone.
func (p *process) lost(k *process) {
	delete(p.brood.children, k.forked.number)
	p.unseat(k.slot)
	p.settle()
}

// killChildren kills what the zygote forked, and forks.
func (p *process) killChildren() {
	p.brood.doomed = true
	for _, k := range p.brood.children {
		k.doom()
	}
}

// pass begins the end of a zygote that has ended. What it had not taken goes back; what it had taken may have a child
// that has not said so yet.
func (p *process) pass(e ending) {
	c, b := p.crew, p.brood
	b.left, b.how = true, e
	if p.unasked() {
		b.stderr = p.slot.stderr.Drain()
		p.trouble(e, b.stderr)
	}
	p.leave()
	p.boosted.tid = 0
	taken := p.mailbox.Taken()
	p.unrecord()
	p.unwatch(0)
	p.deadline.Stop()
	p.killing.Stop()
	p.release()
	if a := p.bound; a != nil { // its arena was to grow for it
		p.bound = nil
		c.busy--
		p.fail(a, e, b.stderr, false)
	}
	for _, f := range slices.Clone(p.flights) {
		if f.number >= taken {
			p.disembark(f.number)
			p.unseat(f.seat)
			c.giveBack(f.a, aem.Completion{})
		}
	}
	c.fill()
	if p.watches[1] == 0 {
		p.barren()
	} else {
		c.work.Alarms.After(&p.killing, birthWait, p.barren)
	}
	b.ended = nil
	for _, k := range b.children {
		if k.forked.ended {
			k.exited(0)
		}
	}
	p.passOn()
}

// barren fails what the zygote had taken and what no child came of.
func (p *process) barren() {
	for _, f := range slices.Clone(p.flights) {
		p.disembark(f.number)
		p.unseat(f.seat)
		p.crew.busy--
		e := p.brood.how
		e.connection = f.a.Event.FD >= 0      // a child may have had it
		p.fail(f.a, e, p.brood.stderr, false) // a child says that it is there before it begins
	}
	p.passOn()
}

// passOn is the end of a zygote that has ended, if nothing is left of it.
func (p *process) passOn() {
	if !p.atRest() || !slices.Contains(p.crew.live, p) {
		return
	}
	p.close()
	p.crew.forget(p)
}
