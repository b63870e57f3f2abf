package executor

import (
	"errors"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/directcopy"
	"github.com/aem-exec/aem-exec/internal/spawn"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/internal/timing"
	"github.com/aem-exec/aem-exec/source"
)

// process is one process agent, from the wish to have it until it is reaped. Its stages, each left by the event named:
//
//	making    on the lane                   -> made
//	booting   runs, has not said hello      -> proved; only with handover = "direct"
//	ready     idle, or due for its copy     -> give
//	running   has activations               -> answered, or exited; with alloc = "app" they land after -> placed
//	ending    was told to end               -> exited
//
// It belongs to the loop; only make runs on the lane, and touches what nobody else does until made. What it does with
// its mailbox is in mail.go and place.go, how it is ended in end.go, what becomes of it then in exit.go.
//
// What a zygote forked is such a process too: it begins as running, and speaks through the mailbox of its zygote. What
// is special about the two is in zygote.go and child.go. One that attached itself is booting from the beginning; what is
// special about it is in attached.go.
type process struct {
	crew     *processes
	slot     *slot
	brood    *brood          // of a zygote; nil: it is none
	zygote   *process        // that it was forked from; nil: the lane made it
	forked   forked          // what a child has beyond others
	attached *attachment     // of a program that attached itself; nil: it is none
	bound    *aem.Activation // what it was made for, until it is given; nil when made ahead
	flights  []flight        // what it was given and has not answered, in that order
	used     bool            // it was given an activation, or was made for one
	looked   bool            // whether it has the second filter
	ready    bool
	larger   int  // bytes of an event that it was asked for a larger arena for, the last time
	placing  bool // its handler was asked where its flights are to land, and they have not
	full     bool // its arena has no room until it answers
	ending   bool

	here    bool // made, and not on the lane any more: until then the lane writes what follows
	pid     int
	pidfd   int
	inner   int                     // its number as it sees it itself
	mailbox *directcopy.Mailbox     // nil unless direct
	copying *directcopy.Reservation // while a copy is under way: not to be reaped
	held    bool                    // that copy holds a thread of ours
	zombie  bool                    // it ended during a copy
	watches [3]source.Watch         // pidfd, channel, answers

	deadline timing.Alarm // ready_timeout, then timeout
	killing  timing.Alarm // kill_after
	report   timing.Alarm
	asked    int    // times a record of its denied system call was looked for
	denied   string // that call's name
	undenied string // why no name can be had

	boosted boosted // the thread that runs its handler

	place  int        // in the census, counted from 1
	taken  uint64     // at its end: the first event of its mailbox that it had not begun
	why    aem.Reason // what ended it, where we know better than its exit status does
	detail string
}

// flight is an activation with a process.
type flight struct {
	number     uint64 // in the mailbox
	a          *aem.Activation
	connection bool  // its connection was handed over
	seat       *slot // zygote: of its child
}

// make runs on the lane.
func (p *process) make(m *spawn.Maker) {
	err := p.spawn(m)
	p.crew.work.Loop.Post(func() { p.made(err) })
}

// made goes on with a process that the lane has made, or has not.
func (p *process) made(err error) {
	c := p.crew
	p.here = true
	if err == nil {
		err = p.watch()
	}
	if err != nil {
		p.unmade(err)
		return
	}
	c.work.Loop.Born(p.pid)
	p.used = p.bound != nil
	if c.pool.spec.Handover != Direct {
		p.boosted = boosted{by: c.work.Booster, pid: p.pid, tid: p.pid} // it was made at its event's level
		p.handOver()
	} else {
		c.work.Alarms.After(&p.deadline, c.pool.spec.ReadyTimeout, p.notReady)
	}
	switch {
	case c.killed:
		p.kill()
	case c.stopped && !p.used:
		p.end()
	}
}

// unmade gives back what a process that could not be made was for.
func (p *process) unmade(err error) {
	c := p.crew
	p.close()
	c.forget(p)
	completion := aem.Completion{Outcome: aem.Returned, Reason: aem.ReasonSpawn, Exit: -1, Err: err.Error()}
	if errors.Is(err, errNoRoom) {
		typ := ""
		if p.bound != nil {
			typ = p.bound.Event.Type
		}
		c.pool.loop.Reached(c.pool, "pids", typ)
	}
	var unfit *unfitError
	if errors.As(err, &unfit) {
		completion.Outcome, completion.Unfit = aem.Failed, true // no process could ever be given this event
	} else {
		c.trouble(err)
	}
	if p.bound != nil {
		c.busy--
		c.pool.complete(p.bound, completion)
	}
	c.fill()
}

// watch begins to follow the process.
func (p *process) watch() (err error) {
	poller := p.crew.work.Poller
	if p.watches[0], err = poller.Add(p.pidfd, sys.EPOLLIN, source.WatcherFunc(p.exited)); err != nil {
		p.kill()
		sys.WaitPIDFD(p.pidfd, false) //nolint:errcheck // it is being killed; nothing else can wait for it
		return err
	}
	if p.mailbox == nil {
		return nil
	}
	if err = p.watchMailbox(); err != nil {
		p.lie(err) // it lives and is watched: its end comes by itself
	}
	return nil
}

// watchMailbox begins to follow what it says.
func (p *process) watchMailbox() (err error) {
	poller := p.crew.work.Poller
	if p.watches[1], err = poller.Add(p.mailbox.Channel(), sys.EPOLLIN, source.WatcherFunc(p.heard)); err == nil && p.brood == nil {
		p.watches[2], err = poller.Add(p.mailbox.AnswersFD(), sys.EPOLLIN|sys.EPOLLET, source.WatcherFunc(p.answered))
	}
	return err
}

// handOver begins the activation of a program that does not know us: it has its event since it began.
func (p *process) handOver() {
	a := p.bound
	p.bound = nil
	connection := p.crew.pool.spec.Handover.handsSocket()
	if connection {
		closeConnection(a.Event)
	}
	p.flights = append(p.flights, flight{a: a, connection: connection})
	p.begin()
}

// closeConnection closes our copy of an event's connection: from here on its peer sees the end of it when the handler
// ends it.
func closeConnection(e *aem.Event) {
	if e.FD >= 0 {
		sys.Close(e.FD)
		e.FD = -1
	}
}

func (p *process) unwatch(i int) {
	p.crew.work.Poller.Remove(p.watches[i])
	p.watches[i] = 0
}

// close lets go of everything the process had here.
func (p *process) close() {
	for i := range p.watches {
		p.unwatch(i)
	}
	p.deadline.Stop()
	p.killing.Stop()
	p.report.Stop()
	if p.mailbox != nil {
		p.crew.bury(p)
		p.mailbox.Close()
	}
	p.release()
}

// release lets go of the process itself, which has ended.
func (p *process) release() {
	if p.copying != nil {
		p.zombie = true // Freed does the rest
	} else if p.pidfd != 0 {
		p.letGo()
	}
}

// letGo closes what names the process.
func (p *process) letGo() {
	sys.Close(p.pidfd)
	p.pidfd = 0
	if p.attached != nil && p.attached.image != nil {
		p.attached.image.Close()
	}
}
