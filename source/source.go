package source

import (
	"log/slog"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/timing"
)

// Source detects all events of one type, for many jobs. It is called from the loop only.
type Source interface {
	// Start begins to detect for a job. An error leaves nothing behind.
	Start(id aem.JobID, s Spec) error
	// Stop ends it; a job not started is nothing to stop.
	Stop(id aem.JobID)
	// Hold takes no more for a job until Resume; what the kernel keeps meanwhile stays there.
	Hold(id aem.JobID)
	Resume(id aem.JobID)
	// Close stops everything.
	Close()
}

// Sink is where detected events go.
type Sink interface {
	// NewEvent is a fresh event of the type, with its id and time.
	NewEvent(typ string) *aem.Event
	// Detected hands an event over for one job; the sink owns its descriptor from here on. It may Hold the job.
	Detected(id aem.JobID, e *aem.Event)
	// Trouble reports that detection for a job fails at the moment and goes on by itself after a wait; a nil err ends
	// that state.
	Trouble(id aem.JobID, err error)
}

// Env is what sources share.
type Env struct {
	Poller *Poller
	Alarms *timing.Alarms
	Sink   Sink
	Log    *slog.Logger
	Post   func(func()) // has a function called on the loop; from anywhere
}
