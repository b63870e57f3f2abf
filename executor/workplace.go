package executor

import (
	"fmt"
	"log/slog"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/directcopy"
	"github.com/aem-exec/aem-exec/internal/spawn"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/internal/timing"
	"github.com/aem-exec/aem-exec/limits"
	"github.com/aem-exec/aem-exec/policy"
	"github.com/aem-exec/aem-exec/queue"
	"github.com/aem-exec/aem-exec/source"
)

// Workplace is what the agents of one app share: who they are, where they live and what watches over them.
type Workplace struct {
	App     string
	Account Account
	Filter  *spawn.Filter // nil: no policy
	Second  *SecondFilter // from readiness on; nil: none
	Group   *limits.Group
	Limited bool     // the group has limits that a process can run into
	Booster *Booster // nil: no thread is raised
	Places  *Places
	Lane    *spawn.Lane

	// What the app's processes are kept in.
	Cell          *spawn.Cell // its namespaces; nil: none
	UserNamespace bool        // it has one of its own
	Keep          uint64      // capabilities, bit n is capability n
	Reach         policy.Reach
	cells         int // how often they were made anew: the lane's

	Census *Census // nil where a cgroup keeps the processes together

	Loop   Loop
	Poller *source.Poller
	Alarms *timing.Alarms
	Copier Copier
	Scribe *Scribe
	Null   int // /dev/null
	Log    *slog.Logger

	// Turns are the app's places among those of equal priority, for each: the supervisor's.
	Turns [aem.PriorityLevels]uint64

	// Quarantine counts threads that copies into this app's memory hold: while there are any, none is made.
	Quarantine int

	// Denied names the system call that process pid was ended for, and why a name is missing where none can be had.
	// Neither means that a record may still come.
	Denied func(pid int) (name, why string)
	// Publish detects an event for every subscriber of a topic, or refuses with ErrFull. It is called on the loop.
	Publish func(topic string, data []byte) error
	// Admit takes the supervisor's end of the connection that process pid was given. Both descriptors are its own. nil: there is
	// nobody to take it.
	Admit func(fd, pidfd, pid int) error
	// Functions are the Go functions that callbacks and threads may name.
	Functions map[string]Function
}

// roomFor refuses n processes more when they do not fit the app's limit.
func (w *Workplace) roomFor(n int) error {
	if w.Limited && !w.Group.Room(n) {
		return fmt.Errorf("make process: app %s has %w (limits.pids)", w.App, errNoRoom)
	}
	return nil
}

// Copier makes the copies into handlers' memory, so that one that never returns stops nobody else.
type Copier interface {
	// Copy copies r into process pid and ends in o.Copied. If the copy takes long, o.Held comes first; if it sticks,
	// o.Stuck and, should it ever return, o.Freed instead: all of them on the loop. The caller does nothing after it has
	// called Copy.
	Copy(r *directcopy.Reservation, pid int, o CopyOwner)
}

// CopyOwner is who a copy is made for. Until Copied or Freed the process is not reaped, because the copy knows it by
// its number only.
type CopyOwner interface {
	Copied(err error)
	Held()
	Stuck()
	Freed()
}

// OpenRuleset makes the Landlock ruleset of processes that run programs; 0 is none, and the caller closes every other.
func (w *Workplace) OpenRuleset(programs ...string) (ruleset int, err error) {
	reach := w.Reach
	reach.Programs = programs
	if w.Cell != nil {
		return reach.Open(w.Cell.Root())
	}
	root, err := sys.OpenDirectory("/")
	if err != nil {
		return 0, err
	}
	defer sys.Close(root)
	return reach.Open(root)
}

// newPool makes a pool without agents.
func (w *Workplace) newPool(spec Spec, capacity int) *Pool {
	return &Pool{spec: spec, app: w.App, loop: w.Loop, log: w.Log, queue: queue.New[*aem.Activation](capacity),
		work: w}
}

// Open makes the pool of a handler, which queues at most capacity activations. Its agents are made when Start is
// called, or when there is something to run.
func (w *Workplace) Open(spec Spec, capacity int) (*Pool, error) {
	p := w.newPool(spec, capacity)
	if spec.Agent == Process {
		c, err := newProcesses(w, p)
		p.crew = c
		return p, err
	}
	run, err := w.invoke(&p.spec)
	if err != nil {
		return nil, err
	}
	if spec.Agent == Callback {
		p.crew = &callback{pool: p, invoke: run}
		return p, nil
	}
	p.crew = &threads{pool: p, invoke: run, limit: spec.Concurrency}
	return p, sys.OnThread(p.spec.Scheduling.ofThread) // what the host refuses, it refuses here
}
