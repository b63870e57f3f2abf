package executor

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/directcopy"
	"github.com/aem-exec/aem-exec/internal/spawn"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// spawn makes the process on the app's lane: everything it is given is put together here, off the loop.
func (p *process) spawn(m *spawn.Maker) error {
	if err := p.slot.open(); err != nil {
		return err
	}
	p.slot.follow(p.bound)
	v := spawn.Vars{Cgroup: -1, Args: make([]string, 0, len(p.crew.argv)), Env: p.crew.env, Schedules: p.crew.birth(p.bound)}
	if leaf := p.slot.leaf; leaf != nil {
		v.Cgroup, v.Join = leaf.Into(), leaf.Join()
		if err := p.crew.work.roomFor(1); err != nil {
			return err
		}
	}
	if err := p.arguments(&v); err != nil {
		return err
	}
	stdin, err := p.descriptors(&v)
	if err != nil {
		return err
	}
	var child spawn.Child
	given, err := p.connect(&v)
	if err == nil {
		child, err = p.crew.spawn(m, v)
	}
	given.settle(p.crew.work, child, err == nil)
	if errors.Is(err, syscall.E2BIG) {
		err = &unfitError{err}
	}
	if stdin >= 0 {
		sys.Close(stdin)
	}
	if p.mailbox != nil {
		p.mailbox.CloseHandler()
	}
	if err != nil {
		return err
	}
	p.pid, p.pidfd, p.inner = child.PID, child.PIDFD, child.Inner
	return p.record()
}

// spawn makes a process. Where somebody has ended the app's namespaces, and with them all that was in them, they are made
// anew, once.
func (c *processes) spawn(m *spawn.Maker, v spawn.Vars) (spawn.Child, error) {
	child, err := c.spawnHere(m, v)
	if err == nil {
		return child, nil
	}
	renewed, failed := m.Renew()
	switch {
	case failed != nil:
		return child, errors.Join(err, failed)
	case !renewed:
		return child, err
	}
	c.work.cells++
	c.work.Log.Warn("made the app's namespaces anew: their init was ended from outside", "app", c.work.App)
	return c.spawnHere(m, v)
}

// spawnHere makes a process in the namespaces that there are: what the plan has open in them must be of these.
func (c *processes) spawnHere(m *spawn.Maker, v spawn.Vars) (spawn.Child, error) {
	if c.cells != c.work.cells {
		if err := c.compile(); err != nil {
			return spawn.Child{}, err
		}
		c.cells = c.work.cells
	}
	return m.Spawn(c.plan, v)
}

// errNoRoom says that the app is at its limit of processes and threads, which a process that joins is not asked about.
var errNoRoom = errors.New("as many processes and threads as it may")

// arguments puts facts in their places, and adds the variables of the one event the process is made for.
func (p *process) arguments(v *spawn.Vars) error {
	c := p.crew
	var extra []string // that tell a handler of direct where it is
	if c.pool.spec.Handover == Direct {
		extra = c.pool.spec.directEnvironment(p.arena())
	}
	lookup := func(string) (string, bool) { return "", false }
	if a := p.bound; a != nil {
		if err := fit(a.Event.Facts); err != nil {
			return &unfitError{err}
		}
		lookup = facts(c.work.App, c.pool.spec.Name, a)
		v.Env = append(factVars(v.Env[:len(v.Env):len(v.Env)], lookup, a.Event), extra...)
		switch c.pool.spec.Handover {
		case Socket:
			v.Env = connectionVars(v.Env, a.Event)
		case ListenFDs:
			v.Env, v.ListenPID = listenVars(v.Env, a), true
		}
	} else {
		v.Env = append(v.Env[:len(v.Env):len(v.Env)], extra...)
	}
	for _, t := range c.argv {
		arg, err := t.Expand(lookup)
		if err != nil {
			return &unfitError{err}
		}
		v.Args = append(v.Args, arg)
	}
	return nil
}

// fit reports a fact that cannot stand in arguments and variables.
func fit(facts []aem.Fact) error {
	for i := range facts {
		switch f := &facts[i]; {
		case strings.IndexByte(f.Value, 0) >= 0:
			return fmt.Errorf("fact %s has a NUL byte, which no variable can have", f.Name)
		case len(f.Value) > aem.MaxFactBytes:
			return fmt.Errorf("fact %s is longer than %d bytes", f.Name, aem.MaxFactBytes)
		}
	}
	return nil
}

// unfitError says that the event itself keeps a process from being made: another try would fail in the same way.
type unfitError struct{ error }

// descriptors lays out what the process inherits. The one that is made for it alone is returned, to be closed.
func (p *process) descriptors(v *spawn.Vars) (stdin int, err error) {
	out, log := p.slot.stdout.Write, p.slot.stderr.Write
	switch p.crew.pool.spec.Handover {
	case Socket:
		conn := p.bound.Event.FD
		v.FDs = []int{conn, conn, log}
		return -1, nil
	case ListenFDs:
		v.FDs = []int{p.crew.work.Null, out, log, p.bound.Event.FD}
		return -1, nil
	case Stdin, Data:
		text := p.bound.Event.Data
		if p.crew.pool.spec.Handover == Stdin {
			if text, err = cloudEvent(p.crew.work.App, p.crew.pool.spec.Name, p.bound); err != nil {
				return -1, &unfitError{fmt.Errorf("write event as JSON: %w", err)}
			}
		}
		if stdin, err = sealed("aem-event", text); err != nil {
			return -1, err
		}
		v.FDs = []int{stdin, out, log}
		return stdin, nil
	case Direct:
		if p.mailbox, err = directcopy.NewMailbox(p.arena()); err != nil {
			return -1, err
		}
		handler := p.mailbox.Handler()
		v.FDs = append([]int{p.crew.work.Null, out, log}, handler[:]...)
		return -1, nil
	}
	v.FDs = []int{p.crew.work.Null, out, log}
	return -1, nil
}

// sealed is a file in memory that holds text and can never change: as standard input without a writer, without a pipe's
// limit, and complete before the program begins.
func sealed(name string, text []byte) (fd int, err error) {
	if fd, err = sys.MemfdCreate(name); err != nil {
		return -1, os.NewSyscallError("memfd_create", err)
	}
	if err = sys.WriteAt(fd, text); err == nil {
		err = sys.AddSeals(fd, sys.F_SEAL_SHRINK|sys.F_SEAL_GROW|sys.F_SEAL_WRITE|sys.F_SEAL_SEAL)
	}
	if err != nil {
		sys.Close(fd)
		return -1, fmt.Errorf("write %s: %w", name, err)
	}
	return fd, nil
}

// onceArena is the arena of a process that serves one event: every page of it is made before the event, at up to 3 us.
const onceArena = 16 << 10

// arena is the arena that the process is to make: as the handler has it, but for those that serve one event. A cold
// one's event is known; a capsule's grows if it must.
func (p *process) arena() directcopy.Options {
	spec := &p.crew.pool.spec
	o := directcopy.Options{
		ArenaSize: int(spec.ArenaSize), ArenaMax: int(spec.ArenaMax),
		Shared: spec.Copy == SharedCopy, AppAlloc: spec.Alloc == AppAlloc, Zygote: spec.Life == Zygote,
	}
	if second := p.crew.work.Second; second != nil {
		o.Filter = &second.file
	}
	switch a := p.bound; {
	case spec.Life.stays(), spec.Alloc == AppAlloc: // the one has room for many, the other cannot grow
	case a == nil:
		o.ArenaSize = min(o.ArenaSize, onceArena)
	default:
		o.ArenaSize = min(max(onceArena, alignPage(blockBytes(a))), max(o.ArenaSize, o.ArenaMax))
	}
	return o
}

// blockBytes is the room that an activation takes in an arena, a little more at the most.
func blockBytes(a *aem.Activation) int {
	const head = 4 << 10 // header, and the names that every event has
	n := len(a.Event.Data) + head
	for _, f := range a.Event.Facts {
		n += len(f.Name) + len(f.Value) + aem.MaxNumberText + 16
	}
	return n
}

func alignPage(n int) int { return (n + 4095) &^ 4095 }

// bytesOf is what an event counts for in its app's queue: its data, its facts and what it costs to keep it.
func bytesOf(e *aem.Event) int64 {
	n := len(e.Data) + eventBytes
	for _, f := range e.Facts {
		n += len(f.Value)
	}
	return int64(n)
}

// eventBytes is about what an event without data and facts takes in memory, with its activation.
const eventBytes = 256

// BytesOf is what an event counts for in its app's queue.
func BytesOf(e *aem.Event) int64 { return bytesOf(e) }
