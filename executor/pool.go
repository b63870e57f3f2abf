package executor

import (
	"cmp"
	"log/slog"
	"slices"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/timing"
	"github.com/aem-exec/aem-exec/queue"
)

// Pool is all agents of one handler and the queue they share. It belongs to the loop.
type Pool struct {
	spec  Spec
	app   string
	loop  Loop
	log   *slog.Logger
	queue *queue.Queue[*aem.Activation]
	crew  crew

	work     *Workplace
	settling timing.Alarm // set while threads are raised that have nothing to do
	refused  int64        // when it was last told that one cannot be raised

	started      bool
	former, heir *Pool // whose place it has taken, and who has taken its own

	ended aem.Completion // of the attempt that is being reported: here, so that it costs no allocation
}

// Loop is what agents need of the loop that owns them. Post may be called from anywhere, the others on the loop.
type Loop interface {
	// Post has f called on the loop.
	Post(f func())
	// Born and Reaped tell of processes that were made, and that are waited for and gone.
	Born(pid int)
	Reaped(pid int)
	// Started says that an attempt at an activation begins.
	Started(a *aem.Activation)
	// Expired takes an activation that was not run in time.
	Expired(p *Pool, a *aem.Activation)
	// Completed takes back an activation whose attempt has ended. The completion is valid until it returns.
	Completed(p *Pool, a *aem.Activation, c *aem.Completion)
	// Wake says that the pool may have something to run now.
	Wake(p *Pool)
	// AgentTrouble reports that an agent failed to be there, and that it is tried again by backoff; down means that none is
	// left. A nil err ends that state.
	AgentTrouble(p *Pool, err error, down bool)
	// AgentReady says that an agent is there: it said hello.
	AgentReady(p *Pool)
	// Reached says that an activation of a type of event finds its app at a limit.
	Reached(p *Pool, limit string, typ string)
}

// crew is the agents of a pool: callback, threads or processes.
type crew interface {
	// ready reports whether the head of the queue would find a free agent, or the means to make one.
	ready(head *aem.Activation) bool
	// run takes the head of the queue, and may take more that comes before until; each ends in Loop.Completed.
	run(until Mark)
	// running is how many activations are with an agent, and spare how many more could be at once.
	running() int
	spare() int
	// hands are the threads that may be raised.
	hands() hands
	// stop tells idle agents to end and makes no new ones; kill ends those that run too.
	stop()
	kill()
	// ended reports whether nothing of the crew is left.
	ended() bool
}

// Push puts an activation in the queue. It reports false when the queue is full.
func (p *Pool) Push(a *aem.Activation) bool {
	presses := p.presses(a)
	if a.Queued = p.queue.Push(int(a.Priority), a); !a.Queued {
		return false
	}
	if presses {
		p.press(int(a.Priority))
	}
	if c, ok := p.crew.(*processes); ok {
		c.pushed()
	}
	return true
}

// Return puts an activation back to where it was taken from.
func (p *Pool) Return(a *aem.Activation) {
	a.Queued = true
	p.queue.Return(int(a.Priority), a)
}

// take takes the head of the queue.
func (p *Pool) take() *aem.Activation {
	a, _ := p.queue.Pop()
	a.Queued = false
	return a
}

// Busy reports whether one activation more would have to wait for an agent, behind those that wait already.
func (p *Pool) Busy() bool { return p.queue.Len() >= p.crew.spare() }

// Waiting is how many activations wait.
func (p *Pool) Waiting() int { return p.queue.Len() }

// Empty reports whether nothing waits, neither for an agent nor for its copy.
func (p *Pool) Empty() bool {
	c, ok := p.crew.(*processes)
	return p.queue.Len() == 0 && (!ok || len(c.due) == 0)
}

// Running is how many activations are with an agent.
func (p *Pool) Running() int { return p.crew.running() }

// Head is the activation that Run would run now.
func (p *Pool) Head() (a *aem.Activation, ok bool) {
	if c, ok := p.crew.(*processes); ok {
		if a := c.pending(); a != nil {
			return a, true
		}
	}
	for {
		a, _, ok = p.queue.Peek()
		if !ok {
			return nil, false
		}
		if a.Expires == 0 || now() <= a.Expires {
			break
		}
		p.loop.Expired(p, p.take())
	}
	if !p.crew.ready(a) {
		return nil, false
	}
	return a, true
}

// Mark is a place in the order of running: that of the most urgent activation of the other pools. The zero Mark is
// behind everything.
type Mark struct {
	Priority aem.Priority
	Seq      uint64
	Left     int // no more than so many come before it in any case; 0: as many as do
}

// After reports whether the mark comes after an activation.
func (m Mark) After(a *aem.Activation) bool {
	return m.Seq == 0 || a.Priority > m.Priority || a.Priority == m.Priority && a.Seq < m.Seq
}

// Run runs what Head showed, and with it what else goes in one piece and comes before until. It is the last thing a
// turn of the loop does for these activations: a copy that never returns leaves nothing half done.
func (p *Pool) Run(until Mark) { p.crew.run(until) }

// start counts the attempt, before its handler can do anything.
func (p *Pool) start(a *aem.Activation) {
	if a.Interrupted == nil {
		a.Attempt++
	}
	a.Started = now()
	p.loop.Started(a)
}

// pop takes the head of the queue and starts it.
func (p *Pool) pop() *aem.Activation {
	a := p.take()
	p.start(a)
	return a
}

// timeout is how long an attempt at an activation may run; 0 for ever.
func (p *Pool) timeout(a *aem.Activation) time.Duration {
	if a.Timeout != 0 {
		return max(0, a.Timeout)
	}
	return p.spec.Timeout
}

// deadline is when an attempt that begins now must have ended, in ns of CLOCK_REALTIME; 0 never.
func (p *Pool) deadline(a *aem.Activation) int64 {
	if timeout := p.timeout(a); timeout > 0 {
		return time.Now().Add(timeout).UnixNano()
	}
	return 0
}

// complete reports the end of an attempt.
func (p *Pool) complete(a *aem.Activation, c aem.Completion) { p.completeAt(now(), a, c) }

// completeAt is complete for who has just looked at the clock.
func (p *Pool) completeAt(end int64, a *aem.Activation, c aem.Completion) {
	c.After = time.Duration(end - a.Started)
	if c.Outcome == aem.Returned && a.Interrupted == nil {
		a.Attempt--
	}
	p.ended = c
	p.loop.Completed(p, a, &p.ended)
	p.ended = aem.Completion{}
}

// Remove takes the waiting activations that are meant out of the queue and gives each to gone.
func (p *Pool) Remove(meant func(*aem.Activation) bool, gone func(*aem.Activation)) {
	p.queue.Remove(func(a *aem.Activation) bool {
		if !meant(a) {
			return false
		}
		a.Queued = false
		gone(a)
		return true
	})
}

// Reorder gives the waiting activations that are meant another priority: each goes to its place in the order of activation.
func (p *Pool) Reorder(meant func(*aem.Activation) bool, level aem.Priority) {
	var moved []*aem.Activation
	p.Remove(meant, func(a *aem.Activation) {
		a.Priority = level
		moved = append(moved, a)
	})
	slices.SortFunc(moved, func(a, b *aem.Activation) int { return cmp.Compare(a.Seq, b.Seq) })
	for _, a := range moved {
		a.Queued = true
	}
	p.queue.Merge(int(level), moved, func(a, b *aem.Activation) bool { return a.Seq < b.Seq })
	if len(moved) == 0 {
		return
	}
	if p.work.Booster != nil && p.crew.spare() == 0 {
		p.press(int(level))
	}
	p.loop.Wake(p)
}

// Turns are the app's places among those of equal priority, which its pools share. They are the supervisor's.
func (p *Pool) Turns() *[aem.PriorityLevels]uint64 { return &p.work.Turns }

// Spec is what the pool's handler was declared as.
func (p *Pool) Spec() *Spec { return &p.spec }

// Rehearsed is what the host refuses of what the pool's processes are made under. It is asked for once, when all pools are
// open: rehearsals of many apps take their time beside each other.
func (p *Pool) Rehearsed() error {
	if c, ok := p.crew.(*processes); ok {
		return <-c.refused
	}
	return nil
}

// Widen lets at least so many activations wait.
func (p *Pool) Widen(capacity int) { p.queue.Widen(capacity) }

// Enlist counts the pool's agents for what its app may have of them. It is called once, on the loop, before Start.
func (p *Pool) Enlist() {
	if c, ok := p.crew.(*processes); ok {
		c.work.Places.open(c)
	}
}

// Start makes the agents that are to be there before their events.
func (p *Pool) Start() {
	p.started = true
	if c, ok := p.crew.(*processes); ok {
		c.fill()
	}
}

// OutOfMemory is called when memory has run out somewhere in the app.
func (p *Pool) OutOfMemory() {
	if c, ok := p.crew.(*processes); ok {
		c.outOfMemory()
	}
}

// Close lets go of what ended agents had. Nothing runs, and the app's lane is closed.
func (p *Pool) Close() {
	if c, ok := p.crew.(*processes); ok {
		c.close()
	}
}

// Stop makes no new agents and tells idle ones to end; Kill ends all.
func (p *Pool) Stop() { p.crew.stop() }

// Kill ends every agent at once.
func (p *Pool) Kill() { p.crew.kill() }

// Ended reports whether every agent is gone.
func (p *Pool) Ended() bool { return p.crew.ended() }
