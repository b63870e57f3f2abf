package aem

import "time"

// Activation is one event for one job, waiting or running. Times are nanoseconds as timing.Now gives them.
type Activation struct {
	Event     *Event
	Job       JobID
	Name      string // of the registration, as in app/NAME
	Priority  Priority
	Seq       uint64        // order of activation, over all jobs
	Timeout   time.Duration // of its attempts: 0 the handler's own, negative none
	Attempt   uint32        // the attempt that runs, counted before its handler starts; 0 before the first
	Queued    bool          // it waits in its pool's queue, and is nobody else's
	Late      bool          // it did not start within its registration's deadline
	Bytes     int64         // what it counts for in its app's queue
	Expires   int64         // not run after this; 0: never too late
	Activated int64
	Started   int64 // of the attempt

	// Interrupted is how its last attempt ended, whose process did not live to run its destructor. It is what another
	// process is given the activation for, before anything else becomes of it; nil: nothing of the kind.
	Interrupted *Completion
}
