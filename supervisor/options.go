package supervisor

import (
	"log/slog"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/limits"
	"github.com/aem-exec/aem-exec/policy"
	"github.com/aem-exec/aem-exec/source"
)

// Options is everything a supervisor is told: a plain value that the configuration or an embedding program fills.
type Options struct {
	RuntimeDir  string        // holds control.sock; "" when embedded without a control socket
	StateDir    string        // what outlives a run; "" keeps nothing
	Grace       time.Duration // at the end, what runs may finish
	DeadLetters int           // newest kept
	Control     Control
	Log         Log
	Apps        []App

	Version string // of the program, for whoever asks
	// Whole says that the program is a supervisor and nothing else: it takes in what handlers leave behind, as their
	// subreaper, and is closed to other processes' eyes.
	Whole bool

	// Foreground has handlers write to our own standard output and error, instead of to the log.
	Foreground bool
	// Ended is called on the loop when a job has ended by itself; with an error, when a handler has no agent.
	Ended func(err error)
	// Ready is called on the loop when everything that is to be started has been; path is that of the control socket.
	Ready func(jobs, apps int, path string)
	// Reload is what the control operation of that name does: it finds new options and calls Supervisor.Reload. It is called
	// from a client's goroutine; nil refuses the operation.
	Reload func() (control.Reloaded, error)
	// Functions are the Go functions that callbacks and threads may name beside the built-in ones.
	Functions map[string]executor.Function
	// Tables reads what programs register while the supervisor runs; nil: none may. Package config has it.
	Tables Tables
	// Observer is told what policies have recorded, instead of the log, and makes it an error if that cannot be seen here.
	Observer *Observer
	// Logger takes the records; nil makes one from Log on standard error.
	Logger *slog.Logger
}

// Control is who may reach the control socket.
type Control struct {
	Mode  uint32 // permission bits of the socket
	Group string // its group, "" leaves it
}

// Log is how records are written.
type Log struct {
	Level  slog.Level
	Format string // text, json or journal
}

// App owns registrations and handlers; limits and policy bind to it.
type App struct {
	Name   string
	User   string // "" is who runs the supervisor
	Group  string
	Groups []string
	Start  bool

	Limits  limits.Limits
	Seccomp *policy.Profile // what its processes may call; nil: whatever they like
	// SeccompReady is a second profile, which handlers are held to beside the first when they are ready. All that are
	// processes have to be direct.
	SeccompReady *policy.Profile

	Confinement policy.Confinement
	OnError     Decision       // where nobody answers an event of type supervisor.error
	Boost       executor.Boost // by the priority of what waits for its handlers' threads

	Handlers []executor.Spec
	Events   []Registration
}

// Registration says: when this happens, run these handlers, at this priority.
type Registration struct {
	Name     string
	Source   source.Spec
	Handlers []string
	Priority aem.Priority
	Start    bool
	Once     bool
	Most     uint64 // arrivals that each job detects, and then it ends; 0: any number
	Full     Full
	Arrivals Arrivals
	Expire   time.Duration // not run after waiting so long; 0: never too late
	Deadline time.Duration // from activation to start; a miss is counted and told; 0: none
	Silence  time.Duration // told when none arrives for so long; 0: never
	Filter   string        // an expression; what it is false for is not detected; "": all is meant
}

// Arrivals is what happens to an arrival when all agents are busy. The zero Arrivals is EachArrival.
type Arrivals string

// The rules when all agents are busy.
const (
	EachArrival    Arrivals = "each"    // it waits
	MergeArrival   Arrivals = "merge"   // it joins the one that waits, if there is one, and has the same fate
	SkipArrival    Arrivals = "skip"    // it is shed
	ReplaceArrival Arrivals = "replace" // it takes the place of the one that waits, which is shed
)

// Full is what happens to arrivals when a limit is reached.
type Full string

// The rules at a limit.
const (
	HoldFull Full = "hold" // the source is held, or the arrival kept, until there is room
	ShedFull Full = "shed" // given up and counted
)
