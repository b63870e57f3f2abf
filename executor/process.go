package executor

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/directcopy"
	"github.com/aem-exec/aem-exec/internal/spawn"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/internal/timing"
	"github.com/aem-exec/aem-exec/source"
)

// reportAfter is how long a handler may run before that is reported.
const reportAfter = 60 * time.Second

// process is one process agent, from the wish to have it until it is reaped. Its stages, each left by the event named:
//
//	making    on the lane                   -> made
//	booting   runs, has not said hello      -> Proved; only with handover = "direct"
//	ready     idle, or due for its copy     -> give
//	running   has activations               -> answers, or its end
//	ending    was told to end               -> its end
//
// It belongs to the loop; only make runs on the lane, and touches what nobody else does until made.
type process struct {
	crew    *processes
	slot    *slot
	bound   *aem.Activation // what it was made for, until it is given; nil when made ahead
	flights []flight        // what it was given and has not answered
	used    bool            // it was given an activation, or was made for one
	ready   bool
	ending  bool
	born    int64

	pid     int
	pidfd   int
	mailbox *directcopy.Mailbox     // nil unless direct
	copying *directcopy.Reservation // while a copy is under way: not to be reaped
	stuck   bool                    // that copy did not return
	zombie  bool                    // it ended during a copy
	watches [3]source.Watch         // pidfd, channel, answers

	deadline timing.Alarm // ready_timeout, then timeout
	killing  timing.Alarm // kill_after
	report   timing.Alarm
	asked    int    // times a record of its denied system call was looked for
	denied   string // that call's name
	undenied string // why no name can be had

	place  int        // in the census, counted from 1
	taken  uint64     // at its end: the first event of its mailbox that it had not begun
	why    aem.Reason // what ended it, where we know better than its exit status does
	detail string
}

// flight is an activation with a process.
type flight struct {
	number     uint64 // in the mailbox
	a          *aem.Activation
	connection bool // its connection was handed over
}

// made goes on with a process that the lane has made, or has not.
func (p *process) made(err error) {
	c := p.crew
	if err == nil {
		err = p.watch()
	}
	if err != nil {
		p.unmade(err)
		return
	}
	p.born = now()
	c.work.Loop.Born(p.pid)
	if p.bound != nil {
		p.used = true
	}
	if c.pool.spec.Handover != Direct {
		p.handOver()
	} else {
		c.work.Alarms.After(&p.deadline, c.pool.spec.ReadyTimeout, p.notReady)
	}
	if c.stopped && p.bound == nil && len(p.flights) == 0 {
		p.end()
	}
}

// unmade gives back what a process that could not be made was for.
func (p *process) unmade(err error) {
	c := p.crew
	p.close()
	a := p.bound
	if a == nil && len(p.flights) > 0 {
		a = p.flights[0].a
	}
	completion := aem.Completion{Outcome: aem.Returned, Reason: aem.ReasonSpawn, Exit: -1, Err: err.Error()}
	var unfit *unfitError
	if errors.As(err, &unfit) {
		completion.Outcome = aem.Failed // no process could ever be given this event
	} else {
		c.trouble(err)
	}
	c.forget(p)
	if a != nil {
		c.busy--
		c.pool.complete(a, completion)
	}
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
	if p.watches[1], err = poller.Add(p.mailbox.Channel(), sys.EPOLLIN, source.WatcherFunc(p.heard)); err == nil {
		p.watches[2], err = poller.Add(p.mailbox.AnswersFD(), sys.EPOLLIN|sys.EPOLLET, source.WatcherFunc(p.answered))
	}
	if err != nil {
		p.lie(err) // it lives and is watched: its end comes by itself
	}
	return nil
}

// handOver begins the activation of a program that does not know us: it has its event since it began.
func (p *process) handOver() {
	a := p.bound
	p.bound = nil
	connection := p.crew.pool.spec.Handover == Socket
	if connection {
		closeConnection(a.Event)
	}
	p.flights = append(p.flights, flight{a: a, connection: connection})
	p.begin(a)
}

// closeConnection closes our copy of an event's connection: from here on its peer sees the end of it when the handler
// ends it.
func closeConnection(e *aem.Event) {
	if e.FD >= 0 {
		sys.Close(e.FD)
		e.FD = -1
	}
}

// begin watches over the time of an activation.
func (p *process) begin(a *aem.Activation) {
	c := p.crew
	p.slot.label(a)
	if timeout := c.pool.spec.Timeout; timeout > 0 {
		c.work.Alarms.After(&p.deadline, timeout, p.timedOut)
	} else {
		p.deadline.Stop()
	}
	c.work.Alarms.After(&p.report, reportAfter, func() {
		c.pool.log.Warn("a handler runs long", "handler", c.pool.spec.Name, "event", a.Name, "id", a.Event.ID, "for", reportAfter)
	})
}

// heard reads the channel.
func (p *process) heard(uint32) {
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
	}
}

// hangUpWait is how long a process may live on after it closed its channel: the channel of one that ends closes first.
const hangUpWait = 200 * time.Millisecond

func (p *process) hungUp() {
	if !p.ending {
		p.crew.work.Alarms.After(&p.killing, hangUpWait, func() { p.lie(errors.New("it closed its channel")) })
	}
}

func (p *process) greeted() {
	if hello := p.mailbox.Hello(); int(hello.PID) != p.pid && p.crew.samePIDs() {
		p.lie(fmt.Errorf("hello from process %d, but %d was started: the handler must be exec'ed, not forked", hello.PID, p.pid))
		return
	}
	if err := p.mailbox.Prove(p.pid); err != nil {
		p.lie(err)
	}
}

// samePIDs reports whether handlers see themselves under the numbers that we see.
func (c *processes) samePIDs() bool { return true }

func (p *process) proved() {
	c := p.crew
	p.ready = true
	p.deadline.Stop()
	switch {
	case p.ending:
	case p.bound != nil:
		c.due = append(c.due, p)
		c.pool.loop.Wake(c.pool)
	case c.stopped:
		p.end()
	default:
		c.well()
		c.idle = append(c.idle, p)
	}
}

// give copies an activation into the process's memory. Its copy is the last thing done here, see Pool.Run.
func (p *process) give(a *aem.Activation) {
	c := p.crew
	p.used = true
	if n := len(c.idle); n > 0 && c.idle[n-1] == p {
		c.idle = c.idle[:n-1]
	}
	r, err := p.mailbox.Reserve([]directcopy.Block{c.block(a)})
	if err != nil {
		p.refuse(a, err)
		return
	}
	p.flights = append(p.flights, flight{number: r.First(), a: a})
	p.begin(a)
	p.copying = r
	c.work.Copier.Copy(r, p.pid, p)
}

// refuse completes an activation that no copy can be made of; the process is as it was.
func (p *process) refuse(a *aem.Activation, err error) {
	c := p.crew
	c.busy--
	if c.pool.spec.Life == Resident {
		c.idle = append(c.idle, p)
	} else {
		p.end()
	}
	text := err.Error()
	if errors.Is(err, directcopy.ErrTooLarge) {
		text = fmt.Sprintf("%d bytes of data do not fit an arena of %d (arena.size)", len(a.Event.Data), p.mailbox.Hello().ArenaSize)
	}
	c.pool.complete(a, aem.Completion{Outcome: aem.Failed, Reason: aem.ReasonChannel, Exit: -1, Err: text})
}

func (c *processes) block(a *aem.Activation) directcopy.Block {
	e := a.Event
	b := directcopy.Block{
		ID: uint64(e.ID), Job: uint64(a.Job), Time: e.Time.UnixNano(),
		Attempt: a.Attempt, Count: e.Count, Priority: uint32(a.Priority), Data: e.Data,
		Facts: append(make([]directcopy.Fact, 0, 4+len(e.Facts)),
			directcopy.Fact{Name: "app", Value: c.work.App}, directcopy.Fact{Name: "event", Value: a.Name},
			directcopy.Fact{Name: "handler", Value: c.pool.spec.Name}, directcopy.Fact{Name: "type", Value: e.Type}),
	}
	if timeout := c.pool.spec.Timeout; timeout > 0 {
		b.Deadline = time.Now().Add(timeout).UnixNano()
	}
	for _, f := range e.Facts {
		b.Facts = append(b.Facts, directcopy.Fact(f))
	}
	return b
}

// Copied publishes what was copied.
func (p *process) Copied(err error) {
	r := p.copying
	if p.Freed(); p.zombie {
		return // it ended meanwhile, and its activation with it
	}
	last := &p.flights[len(p.flights)-1]
	if err == nil {
		if err = r.Publish(last.a.Event.FD); err == nil && last.a.Event.FD >= 0 {
			last.connection = true
			closeConnection(last.a.Event)
		}
	} else {
		r.Cancel()
	}
	if err != nil {
		p.lie(err)
	}
}

// Stuck gives up a process that holds one of our threads in a copy, and gives its app no direct copies until the
// thread is back.
func (p *process) Stuck() {
	p.stuck = true
	p.crew.work.Quarantine++
	p.lie(errors.New("a copy into its memory did not return: a page of its arena never comes"))
}

// Freed ends a copy: from here on the process may be reaped.
func (p *process) Freed() {
	p.copying = nil
	if p.stuck {
		p.crew.work.Quarantine--
	}
	if p.zombie {
		sys.WaitPIDFD(p.pidfd, true) //nolint:errcheck // how it ended was read before
		p.crew.work.Loop.Reaped(p.pid)
		sys.Close(p.pidfd)
		p.pidfd = 0
	}
}

// answered takes the handler's answers.
func (p *process) answered(uint32) {
	if p.ending && len(p.flights) == 0 {
		return
	}
	answers, err := p.mailbox.Answers(p.crew.answers[:0])
	p.crew.answers = answers
	for i := range answers {
		p.complete(&answers[i])
	}
	if err != nil {
		p.lie(err)
	}
}

var answerOutcomes = map[directcopy.Outcome]aem.Outcome{
	directcopy.Done: aem.Done, directcopy.Retry: aem.Retry, directcopy.Fail: aem.Failed,
}

func (p *process) complete(answer *directcopy.Answer) {
	c := p.crew
	for i, f := range p.flights {
		if f.number != answer.Number {
			continue
		}
		p.flights = append(p.flights[:i], p.flights[i+1:]...)
		completion := aem.Completion{
			Outcome: answerOutcomes[answer.Outcome], Delay: answer.Delay, Err: answer.Text, Exit: -1,
		}
		if completion.Outcome != aem.Done {
			completion.Reason = aem.ReasonHandler
		}
		if f.connection && completion.Outcome == aem.Retry {
			completion.Outcome = aem.Failed // what passed on it cannot be taken back
		}
		c.busy--
		c.well()
		p.rest()
		c.pool.complete(f.a, completion)
		return
	}
}

// rest is what a process does when it has answered: a resident waits for more, the others end.
func (p *process) rest() {
	c := p.crew
	p.deadline.Stop()
	p.report.Stop()
	if c.pool.spec.Life == Resident && !c.stopped && !p.ending {
		c.idle = append(c.idle, p)
		return
	}
	p.end()
}

func (p *process) notReady() {
	p.why = aem.ReasonHello
	p.detail = fmt.Sprintf("it said no hello within %v: handover = \"direct\" is for programs that use an SDK", p.crew.pool.spec.ReadyTimeout)
	p.terminate()
}

func (p *process) timedOut() {
	p.why = aem.ReasonTimeout
	p.detail = fmt.Sprintf("it ran longer than %v", p.crew.pool.spec.Timeout)
	p.terminate()
}

// lie ends a process that broke the rules of the channel or the page, or that cannot be served.
func (p *process) lie(err error) {
	if p.why == "" {
		p.why, p.detail = aem.ReasonChannel, err.Error()
	}
	p.kill()
}

// end tells a process that has nothing to do to end.
func (p *process) end() {
	if p.ending {
		return
	}
	p.leave()
	p.mailbox.Stop() //nolint:errcheck // a process that takes no message is killed after a while
	p.crew.work.Alarms.After(&p.killing, p.crew.pool.spec.KillAfter, p.kill)
}

// leave takes the process out of those that activations are given to.
func (p *process) leave() {
	p.ending = true
	remove(&p.crew.idle, p)
}

// terminate asks the whole session to end, and kills it after a while.
func (p *process) terminate() {
	p.leave()
	sys.KillGroup(p.pid, syscall.SIGTERM)
	p.crew.work.Alarms.After(&p.killing, p.crew.pool.spec.KillAfter, p.kill)
}

// kill ends the process and all that its slot holds.
func (p *process) kill() {
	if p.pidfd == 0 || p.zombie {
		return // still on the lane, or gone
	}
	p.leave()
	if p.slot.leaf == nil || p.slot.leaf.Kill() != nil {
		sys.KillGroup(p.pid, syscall.SIGKILL)
	}
	sys.PidfdSendSignal(p.pidfd, syscall.SIGKILL) //nolint:errcheck // it is gone
}

// make runs on the lane.
func (p *process) make(m *spawn.Maker) {
	err := p.spawn(m)
	p.crew.work.Loop.Post(func() { p.made(err) })
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
		p.mailbox.Close()
	}
	if p.copying != nil {
		p.zombie = true // Freed does the rest
	} else if p.pidfd != 0 {
		sys.Close(p.pidfd)
		p.pidfd = 0
	}
}
