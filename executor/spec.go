package executor

import (
	"time"

	"github.com/aem-exec/aem-exec/policy"
)

// AgentKind is the context that runs a handler.
type AgentKind string

// The kinds of agent.
const (
	Process  AgentKind = "process"
	Callback AgentKind = "callback"
	Thread   AgentKind = "thread"
)

// Life is how long a process agent lives.
type Life string

// The lives.
const (
	Cold     Life = "cold"     // made for one event
	Capsule  Life = "capsule"  // made before its event, used once
	Resident Life = "resident" // made once, used for ever
	Zygote   Life = "zygote"   // made once, copied for each event
	// Attached is that of a program which was there before it was an agent. No file can ask for it.
	Attached Life = "attached"
)

// stays reports whether a process of this life is there for event after event.
func (l Life) stays() bool { return l == Resident || l == Zygote || l == Attached }

// Handover is how an event reaches a program.
type Handover string

// The handovers.
const (
	Direct Handover = "direct" // copied into the handler's memory; the program uses an SDK
	Socket Handover = "socket" // the event's socket on descriptors 0 and 1
	Stdin  Handover = "stdin"  // one CloudEvents JSON object on standard input
	Data   Handover = "data"   // the event's bytes on standard input
	None   Handover = "none"   // nothing but facts

	ListenFDs Handover = "listen-fds" // the event's socket on descriptor 3, man 3 sd_listen_fds
)

// handsSocket reports whether the program has the event's socket from its start.
func (h Handover) handsSocket() bool { return h == Socket || h == ListenFDs }

// Copy is how an event gets into a handler's arena.
type Copy string

// The ways of copying. The zero Copy is a direct one.
const (
	DirectCopy Copy = "direct" // into the handler's own memory
	SharedCopy Copy = "shared" // into memory that both map: for hosts that refuse the other, and apps not trusted with a thread of ours
)

// Alloc is who says where in a handler's arena an event lands.
type Alloc string

// Who may say it. The zero Alloc is the supervisor.
const (
	SupervisorAlloc Alloc = "supervisor"
	AppAlloc        Alloc = "app" // the handler, by its own scheme
)

// Leftover is what happens to processes that outlive the main process of their agent.
type Leftover string

// What may happen to them.
const (
	KillLeftover  Leftover = "kill"
	LeaveLeftover Leftover = "leave"
)

// Backoff is a growing wait between tries.
type Backoff struct {
	First  time.Duration
	Factor float64
	Max    time.Duration
	Jitter float64       // part of the wait that is random, to both sides
	Reset  time.Duration // going well for so long starts it anew; 0 never
}

// Rlimit is one resource limit, soft and hard alike; man 2 getrlimit.
type Rlimit struct {
	Resource int
	Value    uint64
}

// Spec declares a handler: a plain value.
type Spec struct {
	Name  string
	Agent AgentKind
	Call  string         // callback, thread: the name of the Go function
	Args  map[string]any // its arguments

	Exec     []string // program and arguments, facts as {name}
	Life     Life
	Handover Handover

	Size        int // capsule: kept ready; resident, zygote: processes
	Concurrency int // activations running at once

	Dir     string // absolute
	Env     map[string]string
	PassEnv []string // names taken from the supervisor's environment
	Umask   int
	Rlimits []Rlimit
	Scheduling

	Timeout      time.Duration // 0 none
	ReadyTimeout time.Duration
	KillAfter    time.Duration
	Leftover     Leftover
	LeftoverSet  bool // the file states it, so the host must be able to

	Success    []int // exit statuses that mean done
	AnySuccess bool  // every exit status means done
	Retries    int
	Backoff    Backoff
	Restart    Backoff

	ArenaSize int64 // bytes
	ArenaMax  int64
	Alloc     Alloc
	Copy      Copy

	Control bool // direct: each process is given a connection to the supervisor, for its app alone
}

// Account is what an app's processes run under, beside their handlers' own keys.
type Account struct {
	policy.Identity
	Own bool // the supervisor's own identity: nothing to change
}
