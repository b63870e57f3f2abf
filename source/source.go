package source

import (
	"log/slog"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/timing"
)

// Source detects all events of one type, for many jobs. It is called from the loop only.
type Source interface {
	// Start begins to detect for a job; nil is the spec that was kept. An error leaves nothing behind.
	Start(id aem.JobID, s Spec) error
	// Stop ends it; a job not started is nothing to stop.
	Stop(id aem.JobID)
	// Hold takes no more for a job until Resume; what the kernel keeps meanwhile stays there.
	Hold(id aem.JobID)
	Resume(id aem.JobID)
	// Close stops everything.
	Close()
}

// Asker is a source that asks Sink.Room before each event, because it has too many jobs to be told to hold each.
type Asker interface{ AsksRoom() }

// Keeper is a source that keeps the specs of many jobs in less room than a Spec takes. Their jobs are started without
// one.
type Keeper interface {
	// Keep takes the spec of a job, which is not started, until Forget.
	Keep(id aem.JobID, s Spec) error
	Forget(id aem.JobID)
}

// Opener is a source with sockets that others come to. A job of it may be stopped by Hold alone: who comes waits in the
// kernel, until Stop, or until Start, which then begins with what is there, held.
type Opener interface{ StaysOpen() }

// Batcher is a source that starts many jobs at less cost within f.
type Batcher interface{ Batch(f func()) }

// Sink is where detected events go.
type Sink interface {
	// NewEvent is a fresh event of the type, with its id and time.
	NewEvent(typ string) *aem.Event
	// Detected hands an event over for one job; the sink owns its descriptor from here on. It may Hold the job.
	Detected(id aem.JobID, e *aem.Event)
	// Room reports whether there is room for an event of a job. Without it, the job is held until there is.
	Room(id aem.JobID) bool
	// Trouble reports that detection for a job fails at the moment and goes on by itself after a wait; a nil err ends
	// that state.
	Trouble(id aem.JobID, err error)
}

// Env is what sources share.
type Env struct {
	Poller *Poller
	Alarms *timing.Alarms
	Sink   Sink
	Runs   Runs // nil: nothing outlives a run
	Log    *slog.Logger
	Post   func(func()) // has a function called on the loop; from anywhere
	Closes *Closes      // told of connections' ends; nil: nobody is
}

// Runs keeps until when each job has seen what fell due, over restarts.
type Runs interface {
	Last(id aem.JobID) (at time.Time, ok bool)
	Ran(id aem.JobID, at time.Time)
}
