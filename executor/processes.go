package executor

import (
	"errors"
	"fmt"
	"slices"

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

func remove(list *[]*process, p *process) {
	if i := slices.Index(*list, p); i >= 0 {
		*list = slices.Delete(*list, i, i+1)
	}
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
