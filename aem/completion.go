package aem

import "time"

// Outcome is how an activation, or one attempt at it, ended.
type Outcome uint8

// The outcomes. Retry and Returned end an attempt, the others the activation.
const (
	Done     Outcome = iota // the handler did it
	Failed                  // it never will: a dead letter
	Expired                 // it waited too long to be worth running
	Shed                    // given up by a rule the app wrote, or gone with its job
	Retry                   // this attempt failed and counts; another may follow
	Returned                // this attempt never reached the handler and does not count
)

var outcomes = [...]string{Done: "done", Failed: "failed", Expired: "expired", Shed: "shed", Retry: "retry", Returned: "returned"}

func (o Outcome) String() string { return outcomes[o] }

// Reason is why an attempt did not end well, in one word.
type Reason string

// The reasons, as they are printed.
const (
	ReasonNone       Reason = ""
	ReasonExit       Reason = "exit"       // the process ended with a status that is no success
	ReasonSignal     Reason = "signal"     // a signal ended the process
	ReasonOOM        Reason = "oom"        // the kernel ended it for memory
	ReasonPIDs       Reason = "pids"       // it ran into its app's limit of processes
	ReasonTimeout    Reason = "timeout"    // it ran longer than the handler may
	ReasonSeccomp    Reason = "seccomp"    // it made a system call that its policy ends it for
	ReasonHello      Reason = "hello"      // it ended, or let its time pass, before it said hello
	ReasonChannel    Reason = "channel"    // it broke the rules of the channel or the control page
	ReasonHandler    Reason = "handler"    // the handler itself answered so
	ReasonConnection Reason = "connection" // its connection was handed over and is gone
	ReasonSpawn      Reason = "spawn"      // no process could be made
	ReasonStopped    Reason = "stopped"    // the supervisor stopped first
	ReasonRemoved    Reason = "removed"    // of what is shed: its job was removed, or the program that had registered it is gone
)

// Completion records how one attempt at an activation ended.
type Completion struct {
	Outcome Outcome
	Reason  Reason
	Exit    int           // status the process ended with, -1 when it did not end by exiting
	Signal  string        // name of the signal that ended it, as "KILL"
	Syscall string        // name of the denied system call, "unknown" when no record told
	After   time.Duration // from the start of the attempt
	Delay   time.Duration // the handler's own wish for when to try again, 0 without one
	Reply   []byte        // of a handler that did it: what it has to say to who asked
	Hangup  bool          // and that the connection is to be closed behind it
	Unfit   bool          // no process can be given the event as it is, or not now
	Undone  bool          // its process ended in the middle of it, and its program has a destructor for that
	Err     string        // the handler's own words, or the step that failed
	Stderr  string        // the last of what the process wrote there
}
