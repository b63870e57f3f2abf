package executor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/directcopy"
	"github.com/aem-exec/aem-exec/internal/spawn"
	"github.com/aem-exec/aem-exec/internal/timing"
)

// processes is the crew of process agents, whatever their life. The three lives differ only in when a process is made
// and when it is told to end:
//
//	cold      made for one activation, ends after it
//	capsule   size of them made ahead, each ends after its first activation; when none is left, cold ones are made
//	resident  size of them made ahead, never told to end
type processes struct {
	pool    *Pool
	work    *Workplace
	plan    *spawn.Plan
	argv    []Template
	env     []string            // of every process
	extra   []string            // of those that take events by direct copy
	answers []directcopy.Answer // used again for each batch

	limited bool         // the app has limits that a process can be blamed by
	slots   []*slot      // made so far
	free    []*slot      // with nobody in them
	live    []*process   // from being made until gone
	idle    []*process   // ready for an activation
	due     []*process   // ready, with an activation that its copy is still to be made for
	busy    int          // activations with a process
	failed  int          // processes that could not be made, one after the other
	again   timing.Alarm // set while no process is made because of that
	stopped bool
}

func newProcesses(w *Workplace, p *Pool) (*processes, error) {
	c := &processes{pool: p, work: w, env: p.spec.environ(w.Account), extra: extraVars(&p.spec), limited: w.Limited}
	for _, element := range p.spec.Exec {
		t, err := ParseTemplate(element)
		if err != nil {
			return nil, fmt.Errorf("exec: %w", err)
		}
		c.argv = append(c.argv, t)
	}
	path, err := FindProgram(p.spec.Exec[0], p.spec.path())
	if err != nil {
		return nil, err
	}
	c.plan, err = spawn.Compile(c.spawnSpec(path))
	return c, err
}

// spawnSpec is what all processes of the handler are made under. Only what would change something is asked for.
func (c *processes) spawnSpec(path string) spawn.Spec {
	s := spawn.Spec{
		Path: path, Dir: c.pool.spec.Dir, Umask: c.pool.spec.Umask,
		DropCaps: true, NoNewPrivs: true, Filter: c.work.Filter,
	}
	if who := c.work.Account; !who.Own {
		s.Identity = &spawn.Identity{UID: who.UID, GID: who.GID, Groups: who.Groups}
	}
	for _, r := range c.pool.spec.Rlimits {
		s.Rlimits = append(s.Rlimits, spawn.Rlimit{Resource: r.Resource, Cur: r.Value, Max: r.Value})
	}
	return s
}

// FindProgram is the absolute path of a program: name itself, or where PATH has it.
func FindProgram(name, path string) (string, error) {
	if strings.Contains(name, "/") {
		return name, executable(name)
	}
	for _, dir := range filepath.SplitList(path) {
		if file := filepath.Join(dir, name); filepath.IsAbs(file) && executable(file) == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("find program %q: not in %s", name, path)
}

func executable(file string) error {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return err
	case info.IsDir() || info.Mode()&0o111 == 0:
		return fmt.Errorf("find program %s: not an executable file", file)
	}
	return nil
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

func (c *processes) ready() bool {
	spec := &c.pool.spec
	switch {
	case c.stopped || c.busy >= spec.Concurrency || c.quarantined():
		return false
	case len(c.idle) > 0:
		return true
	}
	return spec.Life != Resident && !c.again.Set() && len(c.live) < c.most()
}

// quarantined reports that the app's memory holds a thread of ours: it gets no more of them.
func (c *processes) quarantined() bool {
	return c.work.Quarantine > 0 && c.pool.spec.Handover == Direct
}

func (c *processes) running() int { return c.busy }

func (c *processes) take(a *aem.Activation) {
	c.busy++
	if n := len(c.idle); n > 0 {
		c.idle[n-1].give(a)
		return
	}
	c.make(a)
}

// fill makes the processes that are to be there before their events.
func (c *processes) fill() {
	if c.stopped || c.again.Set() {
		return
	}
	ahead := 0
	for _, p := range c.live {
		if p.bound == nil && !p.used && !p.ending {
			ahead++
		}
	}
	for ; ahead < c.pool.spec.Ahead() && len(c.live) < c.most(); ahead++ {
		c.make(nil)
	}
}

// make has the lane make a process, for activation a or ahead of any.
func (c *processes) make(a *aem.Activation) {
	p := &process{crew: c, slot: c.slot(), bound: a}
	c.live = append(c.live, p)
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
	s := &slot{crew: c, name: slotName(c.pool.spec.Name, len(c.slots))}
	c.slots = append(c.slots, s)
	return s
}

// trouble makes no processes for a while, which grows with each failure, and never gives up.
func (c *processes) trouble(err error) {
	if c.stopped {
		return
	}
	c.failed++
	c.pool.loop.AgentTrouble(c.pool, err, len(c.live) == 0)
	c.work.Alarms.After(&c.again, c.pool.spec.Restart.Next(c.failed), func() {
		c.pool.loop.AgentTrouble(c.pool, nil, false)
		c.fill()
	})
}

// well is called when a process did what it was made for.
func (c *processes) well() { c.failed = 0 }

// forget takes a process that is gone off the lists, and has its slot cleaned and used again.
func (c *processes) forget(p *process) {
	remove(&c.live, p)
	remove(&c.idle, p)
	remove(&c.due, p)
	c.recycle(p.slot)
	c.fill()
}

// leftWait is how often a slot that still has processes is looked at again.
const leftWait = time.Second

func (c *processes) recycle(s *slot) {
	submitted := c.work.Lane.Submit(func(*spawn.Maker) {
		empty := s.clean()
		c.work.Loop.Post(func() {
			if empty {
				c.free = append(c.free, s)
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
	return c.due[0].bound
}

func (c *processes) copyPending() {
	p := c.due[0]
	c.due = c.due[1:]
	a := p.bound
	p.bound = nil
	p.give(a)
}

func (c *processes) stop() {
	c.stopped = true
	c.again.Stop()
	for _, p := range slices.Clone(c.idle) {
		p.end()
	}
}

func (c *processes) kill() {
	c.stop()
	for _, p := range slices.Clone(c.live) {
		p.kill()
	}
}

func (c *processes) ended() bool { return c.stopped && len(c.live) == 0 }

// close lets go of the slots. No process is left, and the lane is closed.
func (c *processes) close() {
	for _, s := range c.slots {
		s.close()
	}
}

// outOfMemory ends the whole slot of each process that memory ran out in: what is left of it after the kernel chose
// one of its processes is in no state to answer.
func (c *processes) outOfMemory() {
	for _, p := range slices.Clone(c.live) {
		if p.pidfd != 0 && p.slot.blame(true) == aem.ReasonOOM {
			p.why = aem.ReasonOOM
			p.kill()
		}
	}
}
