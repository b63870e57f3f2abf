package executor

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/directcopy"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// maxSteps bounds how many steps of one channel are taken in one turn.
const maxSteps = 64

// heard reads the channel.
func (p *process) heard(uint32) {
	p.listen(maxSteps, func(step directcopy.Progress) bool { return step == directcopy.Nothing || step == directcopy.More })
}

// listen reads the channel until enough was read, n steps were taken, or it has ended.
func (p *process) listen(n int, enough func(directcopy.Progress) bool) {
	for ; n > 0 && p.watches[1] != 0; n-- {
		if enough(p.hear()) {
			return
		}
	}
}

// hear reads the channel up to the next step, and takes it.
func (p *process) hear() directcopy.Progress {
	step, err := p.mailbox.Receive()
	switch {
	case errors.Is(err, io.EOF):
		p.unwatch(1)
		p.hungUp()
	case err != nil:
		p.lie(err)
	case step == directcopy.Greeted:
		p.greeted()
	case step == directcopy.Proved:
		p.proved()
	case step == directcopy.Placed:
		p.placed()
	case step > directcopy.More:
		p.heardOfChild(step)
	}
	return step
}

func (p *process) greeted() {
	started := p.inner
	if p.brood != nil {
		started = p.pid // a zygote is told by the kernel, as we know it
	}
	hello := p.mailbox.Hello()
	if p.attached != nil {
		started = int(hello.PID) // however it knows itself: the memory that it is to find the nonce in is the peer's
		p.inner = started
	}
	if int(hello.PID) != started {
		p.lie(fmt.Errorf("hello from process %d, but %d was started: the handler must be exec'ed, not forked", hello.PID, started))
		return
	}
	if err := p.mailbox.Prove(p.pid); err != nil {
		p.lie(err)
	}
}

// proved is the end of the hello: the process takes events.
func (p *process) proved() {
	c := p.crew
	if c.work.Second != nil && !p.looked && p.attached == nil {
		p.look()
		return
	}
	if err := p.enlist(); err != nil {
		p.lie(err)
		return
	}
	p.ready = true
	p.deadline.Stop()
	c.pool.loop.AgentReady(c.pool)
	p.begin()
	switch {
	case p.ending:
	case p.bound != nil:
		c.due = append(c.due, p)
		c.pool.loop.Wake(c.pool)
	case c.stopped:
		p.end()
	default:
		c.rest(p)
	}
}

// atRest reports whether nothing is to be waited for before the process is told to end.
func (p *process) atRest() bool {
	return len(p.flights) == 0 && (p.brood == nil || len(p.brood.children) == 0)
}

// room is how many activations more the process takes now.
func (p *process) room() int {
	if p.full || !p.ready || p.ending || p.used && !p.crew.pool.spec.Life.stays() || p.asks() {
		return 0
	}
	return int(p.mailbox.Hello().InFlight) - len(p.flights)
}

// give copies activations, in one copy for all, into the process's memory. It returns those that there was no room
// for, as they were. The copy is the last thing done here, see Pool.Run.
func (p *process) give(batch []*aem.Activation) {
	c := p.crew
	if a := batch[0]; a.Interrupted != nil && !p.destructs() {
		p.refuse(a, errNoDestructor)
		return
	}
	if c.pool.spec.Alloc == AppAlloc {
		p.ask(batch)
		return
	}
	r, err := p.mailbox.Reserve(c.blocks(batch))
	switch {
	case errors.Is(err, directcopy.ErrGrow) && len(p.flights) == 0:
		c.takeBack(batch[1:])
		p.grow(batch[0], c.blockBuf[0].Size())
		return
	case errors.Is(err, directcopy.ErrFull), errors.Is(err, directcopy.ErrGrow):
		p.full = true // until it answers
		c.unrest(p)
		c.takeBack(batch)
		return
	case err != nil:
		c.takeBack(batch[1:])
		p.refuse(batch[0], err)
		return
	}
	if err := p.board(batch[:r.Len()], r.First()); err != nil {
		r.Cancel()
		c.takeBack(batch)
		c.crowd(err)
		return
	}
	c.takeBack(batch[r.Len():])
	p.used = true
	if p.room() <= 0 {
		c.unrest(p)
	}
	p.copy(r)
}

// errNoDestructor is of a program that was another one when it was interrupted.
var errNoDestructor = errors.New("the program has no destructor any more")

// destructs reports whether the program has a destructor, by its hello.
func (p *process) destructs() bool {
	if p.zygote != nil {
		p = p.zygote
	}
	return p.mailbox != nil && p.mailbox.Hello().Destructs()
}

// copy makes the copy of what the process has been given a place for.
func (p *process) copy(r *directcopy.Reservation) {
	p.begin()
	p.copying = r
	p.crew.work.Copier.Copy(r, p.pid, p)
}

// board counts activations as the process's.
func (p *process) board(batch []*aem.Activation, first uint64) error {
	if p.brood != nil {
		if err := p.seat(batch, first); err != nil {
			return err
		}
	} else {
		for i, a := range batch {
			p.crew.begin(a)
			p.flights = append(p.flights, flight{number: first + uint64(i), a: a})
		}
	}
	p.lift()
	return nil
}

// grow has the process make an arena with room for an activation of size bytes, which it is given then. The hello
// begins anew.
func (p *process) grow(a *aem.Activation, size int) {
	c := p.crew
	switch err := p.mailbox.Grow(size); {
	case errors.Is(err, directcopy.ErrTooLarge):
		p.refuse(a, err)
		return
	case err != nil: // the handler's fault, or its end: the event is for another
		c.takeBack([]*aem.Activation{a})
		p.lie(err)
		return
	}
	c.begin(a)
	p.bound, p.used, p.ready, p.larger = a, true, false, size
	c.unrest(p)
	c.work.Alarms.After(&p.deadline, c.pool.spec.ReadyTimeout, p.notReady)
}

// refuse fails an activation that no copy can be made of; the process is as it was.
func (p *process) refuse(a *aem.Activation, err error) {
	c := p.crew
	c.begin(a)
	c.busy--
	if !c.pool.spec.Life.stays() {
		p.end()
	}
	text := err.Error()
	if errors.Is(err, directcopy.ErrTooLarge) {
		most, key := c.pool.spec.ArenaMax, "arena.max"
		if c.pool.spec.Alloc == AppAlloc {
			most, key = int64(p.mailbox.Hello().ArenaSize), "arena.alloc"
		}
		text = fmt.Sprintf("%d bytes of data do not fit an arena of at most %d (%s)", len(a.Event.Data), most, key)
	}
	c.pool.complete(a, aem.Completion{Outcome: aem.Failed, Reason: aem.ReasonChannel, Exit: -1, Err: text, Unfit: true})
}

// blocks lays out activations for a reservation, which copies all but the data at once: the rest is used again.
func (c *processes) blocks(batch []*aem.Activation) []directcopy.Block {
	c.blockBuf = c.blockBuf[:0]
	c.factBuf.reset(batch)
	for _, a := range batch {
		e, first := a.Event, len(c.factBuf.facts)
		c.factBuf.facts = append(c.factBuf.facts,
			directcopy.Fact{Name: "app", Value: c.work.App}, directcopy.Fact{Name: "event", Value: a.Name},
			directcopy.Fact{Name: "handler", Value: c.pool.spec.Name}, directcopy.Fact{Name: "type", Value: e.Type})
		if !e.Last.IsZero() {
			last := aem.TimeFact("last", e.Last.UnixNano())
			c.factBuf.add(&last)
		}
		for i := range e.Facts {
			c.factBuf.add(&e.Facts[i])
		}
		attempt := a.Attempt
		if a.Interrupted != nil {
			c.factBuf.facts = append(c.factBuf.facts, directcopy.Fact{Name: "interrupted", Value: string(a.Interrupted.Reason)})
		} else if a.Started == 0 {
			attempt++ // it is counted when there is room for it
		}
		c.blockBuf = append(c.blockBuf, directcopy.Block{
			ID: uint64(e.ID), Job: uint64(a.Job), Time: e.Time.UnixNano(), Deadline: c.pool.deadline(a),
			Attempt: attempt, Count: e.Count, Priority: uint32(a.Priority), Data: e.Data, Facts: c.factBuf.facts[first:],
			Interrupted: a.Interrupted != nil,
		})
	}
	return c.blockBuf
}

// Copied publishes what was copied.
func (p *process) Copied(err error) {
	r := p.copying
	if p.Freed(); p.zombie {
		return // it ended meanwhile, and its activations with it
	}
	if err != nil {
		r.Cancel()
		p.trip(err)
		return
	}
	if p.brood != nil {
		p.publish(r)
		return
	}
	last := &p.flights[len(p.flights)-1] // an event with a connection goes alone
	if err := r.Publish(last.a.Event.FD); err != nil {
		p.trip(err)
	} else if last.a.Event.FD >= 0 {
		last.connection = true
		closeConnection(last.a.Event)
	}
	p.crew.fill() // a capsule is used now: the next one is made while this one works
}

// Held gives its app no direct copies while the copy holds one of our threads.
func (p *process) Held() {
	p.held = true
	p.crew.work.Quarantine++
}

// Stuck gives up a process whose copy goes on holding a thread.
func (p *process) Stuck() {
	for _, f := range p.flights {
		f.a.Event.Pinned = true
	}
	p.lie(errors.New("a copy into its memory did not return: a page of its arena never comes"))
}

// Freed ends a copy: from here on the process may be reaped.
func (p *process) Freed() {
	p.copying = nil
	if p.held {
		p.held = false
		p.crew.work.Quarantine--
		p.crew.pool.loop.Wake(p.crew.pool)
	}
	if !p.zombie {
		return
	}
	if p.attached == nil {
		sys.WaitPIDFD(p.pidfd, true) //nolint:errcheck // how it ended was read before
		p.crew.work.Loop.Reaped(p.pid)
	}
	p.letGo()
}

// answered takes the handler's answers.
func (p *process) answered(uint32) {
	answers, err := p.mailbox.Answers(p.crew.answers[:0])
	p.crew.answers = answers
	for i := range answers {
		p.complete(&answers[i])
	}
	clear(answers) // their texts
	if err != nil {
		p.lie(err)
		return
	}
	if len(answers) > 0 && !p.ending {
		p.full = false
		p.lift()
		p.rest()
	}
}

var answerOutcomes = [...]aem.Outcome{
	directcopy.Done: aem.Done, directcopy.Retry: aem.Retry, directcopy.Fail: aem.Failed,
}

func (p *process) complete(answer *directcopy.Answer) {
	i := slices.IndexFunc(p.flights, func(f flight) bool { return f.number == answer.Number })
	f := p.flights[i] // Answers vouches for it
	p.flights = slices.Delete(p.flights, i, i+1)
	completion := aem.Completion{
		Outcome: answerOutcomes[answer.Outcome], Delay: answer.Delay, Reply: answer.Reply, Err: answer.Text, Exit: -1,
	}
	if completion.Outcome != aem.Done {
		completion.Reason = aem.ReasonHandler
	}
	if f.connection && completion.Outcome == aem.Retry {
		completion.Outcome = aem.Failed // what passed on it cannot be taken back
	}
	p.crew.busy--
	p.crew.pool.complete(f.a, completion)
}

// rest is what a process does when it has answered: a resident takes more, the others end.
func (p *process) rest() {
	c := p.crew
	if !c.pool.spec.Life.stays() || c.stopped && len(p.flights) == 0 {
		p.end()
		return
	}
	c.rest(p)
	p.begin()
}
