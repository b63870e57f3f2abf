package executor

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/directcopy"
	"github.com/aem-exec/aem-exec/internal/spawn"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/internal/timing"
)

// processes is the crew of process agents, whatever their life. The lives differ only in when a process is made and when
// it is told to end:
//
//	cold      made for one activation, ends after it
//	capsule   size of them made ahead, and one for each activation that waits; each ends after its first one
//	resident  size of them made ahead, never told to end
//	zygote    as resident; each forks for an activation, and what it forked ends after that
type processes struct {
	pool    *Pool
	work    *Workplace
	path    string // of the program
	plan    *spawn.Plan
	ruleset int // of Landlock, that the plan names; 0: none
	cells   int // how often the app's namespaces had been made anew when the plan was made

	refused chan error      // what the rehearsal found
	births  []sys.SchedAttr // how a process is scheduled that is made for its event, by level

	argv []Template
	env  []string // of every process

	// Used again for each batch.
	batch    []*aem.Activation
	blockBuf []directcopy.Block
	factBuf  factBuffer
	answers  []directcopy.Answer

	limited  bool       // the app has limits that a process can be blamed by
	slots    []*slot    // made so far
	named    int        // names of slots given, those of former pools included
	free     []*slot    // with nobody in them
	live     []*process // from being made until gone
	idle     []*process // ready for an activation
	due      []*process // ready, with an activation that its copy is still to be made for
	gone     aem.Arena  // what the arenas of processes that are gone have seen
	busy     int        // activations with a process
	filling  bool       // the bank of capsules is on its way to being full
	lull     timing.Alarm
	seated   int // zygote: children that there are, or are to be: they may outlive their activation a little
	unborn   int // zygote: of those, what is to be
	misses   int // activations that found no capsule ready, not told yet
	tell     timing.Alarm
	failed   int          // failures to make processes, or to keep them, until it went well for restart.reset
	failedAt int64        // when the wait after the last of them ends
	again    timing.Alarm // set while no process is made because of that
	crowded  timing.Alarm // zygote: set while none is copied because there was no room for another process
	stopped  bool
	killed   bool // what the lane still makes is to be killed too
}

func newProcesses(w *Workplace, p *Pool) (*processes, error) {
	c := &processes{pool: p, work: w, env: p.spec.environ(w.Account), limited: w.Limited}
	for _, element := range p.spec.Exec {
		t, err := ParseTemplate(element)
		if err != nil {
			return nil, fmt.Errorf("exec: %w", err)
		}
		c.argv = append(c.argv, t)
	}
	var err error
	if c.path, err = FindProgram(p.spec.Exec[0], p.spec.path()); err != nil {
		return nil, err
	}
	c.births = c.levels()
	if err = c.compile(); err == nil {
		err = c.rehearse()
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// compile makes the plan of all processes of the handler. Paths are where the app's namespaces have them.
func (c *processes) compile() (err error) {
	if c.ruleset > 0 {
		sys.Close(c.ruleset)
	}
	if c.ruleset, err = c.work.OpenRuleset(c.path); err != nil {
		return err
	}
	c.plan, err = spawn.Compile(c.spawnSpec())
	return err
}

// rehearse begins to find out what this host refuses of what the handler's processes are made under; Pool.Rehearsed waits
// for it.
func (c *processes) rehearse() error {
	c.refused = make(chan error, 1)
	rehearsal := c.rehearsal()
	if !c.work.Lane.Submit(func(m *spawn.Maker) { c.refused <- rehearsal(m) }) {
		return errors.New("rehearse: the app's lane is full")
	}
	return nil
}

// spawnSpec is what all processes of the handler are made under. Only what would change something is asked for.
func (c *processes) spawnSpec() spawn.Spec {
	s := spawn.Spec{
		Path: c.path, Dir: c.pool.spec.Dir, Umask: c.pool.spec.Umask,
		DropCaps: true, KeepCaps: c.work.Keep, UserNamespace: c.work.UserNamespace, NoNewPrivs: true, Ruleset: c.ruleset,
		Filter: c.work.Filter, Shield: c.work.Group.LimitsMemory(), Scheduling: c.pool.spec.Scheduling.ofProcess(),
	}
	if who := c.work.Account; !who.Own {
		s.Identity = &spawn.Identity{UID: who.UID, GID: who.GID, Groups: who.Groups}
	}
	for _, r := range c.pool.spec.Rlimits {
		s.Rlimits = append(s.Rlimits, spawn.Rlimit{Resource: r.Resource, Cur: r.Value, Max: r.Value})
	}
	return s
}

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

func (c *processes) ready(head *aem.Activation) bool {
	forks := c.pool.spec.Life == Zygote
	if c.stopped || c.places() <= 0 || c.quarantined() {
		return false
	}
	switch {
	case !forks && c.pick(head) != nil:
		return true
	case !c.wants(head) || !forks && !c.roomForOne():
		return false
	case forks && c.work.Places.room(1) || !forks && c.work.Places.free(c):
		return true
	case c.work.Places.Used.Since.IsZero():
		c.pool.loop.Reached(c.pool, c.work.Places.Used.Name, head.Event.Type)
	}
	return false
}

// places is how many activations more may run.
func (c *processes) places() int {
	return c.pool.spec.Concurrency - c.pool.before() - max(c.busy, c.seated)
}

// pick is the process that an activation would be given to. A connection goes only to one that has nothing else: if
// that one ends, it is known whose connection was lost. Of zygotes it is the one with the least to copy, and each
// connection has a process of its own.
func (c *processes) pick(a *aem.Activation) (best *process) {
	for _, p := range slices.Backward(c.idle) { // the one that was busy last has its memory at hand
		switch {
		case p.brood != nil:
			if best == nil || len(p.flights) < len(best.flights) {
				best = p
			}
		case a.Event.FD < 0 || len(p.flights) == 0:
			return p
		}
	}
	return best
}

// quarantined reports that the app's memory holds a thread of ours: it gets no more of them.
func (c *processes) quarantined() bool {
	return c.work.Quarantine > 0 && c.pool.spec.Handover == Direct
}

func (c *processes) running() int { return c.busy }

// spare is how many activations more could be with a process: those of a resident are bounded by what it takes ahead.
func (c *processes) spare() int {
	places := c.places()
	if life := c.pool.spec.Life; life != Resident && life != Attached {
		return places
	}
	room := 0
	for _, p := range c.idle {
		room += p.room()
	}
	return min(places, room)
}

// run runs the head of the queue, or makes the copy that is due: with it, in the same copy, goes what else the process
// takes and what comes before the heads of all other pools.
func (c *processes) run(until Mark) {
	if len(c.due) > 0 {
		p := c.due[0]
		c.due = c.due[1:]
		if p.placing {
			p.land()
			return
		}
		c.batch = append(c.batch[:0], p.bound)
		p.bound = nil
		p.give(c.batch)
		return
	}
	if err := c.forkable(1); err != nil {
		c.crowd(err)
		return
	}
	a, _, _ := c.pool.queue.Peek()
	p := c.pick(a)
	if p == nil && c.pool.spec.Life == Capsule {
		c.make(nil) // the first one to be ready gets it
		return
	}
	c.pool.take()
	if p == nil {
		c.begin(a)
		c.make(a)
		return
	}
	c.batch = append(c.batch[:0], a)
	together := func(a *aem.Activation) bool { return a.Event.FD < 0 || p.brood != nil }
	room := min(p.room(), c.places())
	if until.Left > 0 {
		room = min(room, until.Left)
	}
	for bytes := a.Bytes; len(c.batch) < room && together(a); c.batch = append(c.batch, a) {
		next, _, ok := c.pool.queue.Peek()
		if !ok {
			break
		}
		if next.Expires != 0 && now() > next.Expires {
			break // Head gives it up
		}
		if bytes += next.Bytes; !together(next) || bytes > batchBytes || !until.After(next) || c.forkable(len(c.batch)+1) != nil {
			break
		}
		a = c.pool.take()
	}
	p.give(c.batch)
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

// batchBytes bounds what goes in one copy, unless one event alone is larger.
const batchBytes = 64 << 10

// begin counts an activation as running, if it is not yet.
func (c *processes) begin(a *aem.Activation) {
	if a.Started == 0 {
		c.busy++
		c.pool.start(a)
	}
}

// takeBack puts activations back to where they were taken from.
func (c *processes) takeBack(batch []*aem.Activation) {
	for _, a := range slices.Backward(batch) {
		if a.Started == 0 {
			c.pool.Return(a)
			continue
		}
		c.busy--
		c.pool.complete(a, aem.Completion{Outcome: aem.Returned, Exit: -1})
	}
}

// rest puts a process among those that activations are given to, if it takes any.
func (c *processes) rest(p *process) {
	if p.room() > 0 && !slices.Contains(c.idle, p) {
		c.idle = append(c.idle, p)
	}
	c.pool.loop.Wake(c.pool)
}

// unrest takes it out.
func (c *processes) unrest(p *process) { remove(&c.idle, p) }

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

func (c *processes) recycle(s *slot) {
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

func remove(list *[]*process, p *process) {
	if i := slices.Index(*list, p); i >= 0 {
		*list = slices.Delete(*list, i, i+1)
	}
}

func (c *processes) pending() *aem.Activation {
	if len(c.due) == 0 || c.quarantined() {
		return nil
	}
	if p := c.due[0]; !p.placing {
		return p.bound
	}
	return c.due[0].flights[0].a
}

func (c *processes) stop() {
	c.stopped = true
	c.again.Stop()
	c.crowded.Stop()
	c.tell.Stop()
	c.lull.Stop()
	for _, p := range slices.Clone(c.idle) {
		if p.atRest() {
			p.end()
		}
	}
}

func (c *processes) kill() {
	c.killed = true
	c.stop()
	for _, p := range slices.Clone(c.live) {
		p.kill()
	}
}

func (c *processes) ended() bool { return c.stopped && len(c.live) == 0 }

// close lets go of the slots, once. No process is left, and the lane has nothing of theirs to do.
func (c *processes) close() {
	if c.ruleset > 0 {
		sys.Close(c.ruleset)
	}
	for _, s := range c.slots {
		s.close()
	}
	c.ruleset, c.slots = 0, nil
}

// outOfMemory ends the whole slot of each process that memory ran out in: what is left of it after the kernel chose
// one of its processes is in no state to answer. A zygote's slot has many that answer for themselves, and a program that
// attached itself has none.
func (c *processes) outOfMemory() {
	if life := c.pool.spec.Life; life == Zygote || life == Attached {
		return
	}
	for _, p := range slices.Clone(c.live) {
		if p.here && p.pidfd != 0 && p.slot.ranOut() {
			p.why = aem.ReasonOOM
			p.kill()
		}
	}
}
