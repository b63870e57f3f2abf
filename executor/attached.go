package executor

import (
	"errors"
	"slices"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/directcopy"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/source"
)

// A program that nobody made for an event may connect and be an agent itself: it takes events as a resident does, by the
// same page, channel and arena, and has a pool of its own. What is special about it is its end. It is not our child, so
// its process is known by a descriptor and its memory by another; it is not ours to end, so all that a broken rule, a
// time-out or the end of the supervisor can take from it is what lies between us. Its jobs go with that.

// Candidate is such a program on its way to be an agent: the mailbox that it is to have, and how copies get into its
// memory. Who answers the program makes it; it is the loop's from Workplace.Attach on, or is closed.
type Candidate struct {
	spec       Spec
	pid, pidfd int
	image      *directcopy.Image // nil where the arena is shared
	mailbox    *directcopy.Mailbox
}

// NewCandidate makes the mailbox of a program that runs as uid in process pid, whose descriptor is its own from here on.
// It refuses a program whose memory cannot be written to, unless spec says that the arena is shared.
func NewCandidate(spec Spec, pid, pidfd int, uid uint32) (a *Candidate, err error) {
	a = &Candidate{spec: spec, pid: pid, pidfd: pidfd}
	if spec.Copy != SharedCopy {
		if a.image, err = directcopy.OpenImage(pid, pidfd, uid); err != nil {
			a.Close()
			return nil, err
		}
	}
	a.mailbox, err = directcopy.NewMailbox(directcopy.Options{
		ArenaSize: int(spec.ArenaSize), ArenaMax: int(spec.ArenaMax),
		Shared: spec.Copy == SharedCopy, AppAlloc: spec.Alloc == AppAlloc, Image: a.image,
	})
	if err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// Descriptors are what the program is to be sent, in the order of a handler's: who takes them closes them.
func (a *Candidate) Descriptors() []int { return a.mailbox.GiveHandler() }

// Close gives everything up.
func (a *Candidate) Close() {
	if a.mailbox != nil {
		a.mailbox.Close()
	}
	if a.image != nil {
		a.image.Close()
	}
	sys.Close(a.pidfd)
}

// attachment is what a process that attached itself has beyond others.
type attachment struct {
	image   *directcopy.Image
	parting bool
	// disown takes back everything that the program had registered, and then calls done.
	disown func(why error, done func())
}

// Attach makes a pool with one agent, the program, which queues at most capacity activations. When the program, its
// channel or what it has with us ends, disown is called, once.
func (w *Workplace) Attach(a *Candidate, capacity int, disown func(why error, done func())) (*Pool, error) {
	pool := w.newPool(a.spec, capacity)
	c := &processes{pool: pool, work: w}
	pool.crew = c
	p := &process{crew: c, attached: &attachment{image: a.image, disown: disown}, here: true, pid: a.pid, pidfd: a.pidfd, mailbox: a.mailbox}
	if err := p.watchAttached(); err != nil {
		for i := range p.watches {
			p.unwatch(i)
		}
		return nil, err
	}
	c.live = append(c.live, p)
	w.Places.seat(c, 1)
	w.Alarms.After(&p.deadline, a.spec.ReadyTimeout, p.notReady)
	return pool, nil
}

// watchAttached begins to follow a process that attached itself.
func (p *process) watchAttached() (err error) {
	poller := p.crew.work.Poller
	ended := func(uint32) { p.part(errors.New("it has ended")) }
	if p.watches[0], err = poller.Add(p.pidfd, sys.EPOLLIN, source.WatcherFunc(ended)); err != nil {
		return err
	}
	return p.watchMailbox()
}

// Detach ends what the pool's program, which attached itself, has with us.
func (p *Pool) Detach(why error) {
	for _, process := range slices.Clone(p.crew.(*processes).live) {
		process.part(why)
	}
}

// part ends what there is between us and a program that attached itself, for a reason that it may not know of. The rest
// is done when the loop is at nothing else of it.
func (p *process) part(why error) {
	if p.attached.parting {
		return
	}
	p.attached.parting = true
	p.crew.stopped = true
	p.leave()
	for i := range p.watches {
		p.unwatch(i)
	}
	p.crew.work.Loop.Post(func() { p.parted(why) })
}

// parted lets go of the program. What it answered counts; what it has not goes when its jobs are gone.
func (p *process) parted(why error) {
	c := p.crew
	p.answered(0)
	c.pool.raise(&p.boosted, -1) // it lives on, perhaps
	p.boosted.tid = 0
	p.close()
	p.here = false
	remove(&c.due, p)
	left := make([]*aem.Activation, 0, len(p.flights)+1)
	for _, f := range p.flights {
		left = append(left, f.a)
	}
	if p.bound != nil {
		left = append(left, p.bound)
	}
	p.flights, p.bound = nil, nil
	p.attached.disown(why, func() {
		c.busy -= len(left)
		for _, a := range left {
			c.pool.complete(a, aem.Completion{Outcome: aem.Failed, Reason: p.why, Exit: -1, Err: why.Error()})
		}
		remove(&c.live, p)
		c.work.Places.seat(c, -1)
	})
}
