package control

import (
	"time"

	"github.com/aem-exec/aem-exec/aem"
)

// Operations answer with these results, in this form as JSON:
//
//	version              About
//	list                 []aem.JobStatus
//	lookup               []Lookup
//	start stop remove    []Touched
//	fire                 []Touched, each with its event
//	priority timeout     []Touched
//	filter               []Touched
//	clean                []Touched, each with what was shed
//	watch                Watched
//	emit                 Emitted
//	dead list            []Letter, oldest first
//	dead show            Letter, its data as the reply's data
//	dead replay          []Replayed
//	dead drop            []aem.EventID
//	usage                []Usage
//	attach               Attached, with descriptors
//	register             Registered
//	reload               Reloaded
//
// With quiet, those that answer with []Touched do so with Acted.

// About tells which supervisor answers.
type About struct {
	Version  string    `json:"version"`
	Protocol int       `json:"protocol"`
	PID      int       `json:"pid"`
	Started  time.Time `json:"started"`
}

// Lookup is everything about one job.
type Lookup struct {
	aem.JobStatus
	Arena    *aem.HandlerArena `json:"arena"`            // its handler's; null unless handover is direct
	NextRuns []time.Time       `json:"next_runs"`        // of a timer: the next three
	Filter   string            `json:"filter"`           // what it is told of; "" everything
	Filtered uint64            `json:"filtered"`         // arrivals that its filter kept out: they are in no other count
	Missed   uint64            `json:"missed"`           // of the detected, those that did not start within its deadline
	Parent   aem.JobID         `json:"parent,omitempty"` // the job of the program that it was inherited from
	Failures []string          `json:"failures"`         // its latest failed completions, oldest first, in the form of the log
}

// Touched is a job that an operation acted on.
type Touched struct {
	ID    aem.JobID   `json:"id"`
	Job   string      `json:"job"`                // app/event or app/event:handler
	Event aem.EventID `json:"event_id,omitempty"` // fire: the event that was made
	Shed  uint64      `json:"shed,omitempty"`     // clean: events that waited
}

// Acted is how many jobs an operation acted on.
type Acted struct {
	Jobs int `json:"jobs"`
}

// Attached is what a program needs to know that is an agent from now on. The descriptors that come with it are those of
// docs/abi.md from the channel on, in their order.
type Attached struct {
	ABI       int         `json:"abi"`
	Handler   string      `json:"handler"` // its name
	ArenaSize int64       `json:"arena_size"`
	ArenaMax  int64       `json:"arena_max"`
	Copy      string      `json:"copy"`  // direct or shared
	Alloc     string      `json:"alloc"` // supervisor or app
	Token     string      `json:"token"` // for programs that this one forks
	Inherited []Inherited `json:"inherited"`
}

// Inherited is a job that a program has because the one that forked it had another like it.
type Inherited struct {
	ID     aem.JobID `json:"id"`
	Parent aem.JobID `json:"parent"`
}

// Registered has the ids of the jobs of each registration, in its order.
type Registered struct {
	IDs [][]aem.JobID `json:"ids"`
}

// Reloaded is what has become of what runs, since its files were read again.
type Reloaded struct {
	Changes  []Change `json:"changes"`
	Warnings []string `json:"warnings"` // what is allowed, but hardly meant
}

// Change is what has become of one thing.
type Change struct {
	Change string `json:"change"` // added removed changed renewed
	What   string `json:"what"`   // app handler job
	Name   string `json:"name"`   // as web, web/greet, web/hello
}

// Watched is what happened since another answer.
type Watched struct {
	Next       uint64      `json:"next"` // what the next request says as since
	Lost       uint64      `json:"lost"` // that nobody asked for in time
	Happenings []Happening `json:"happenings"`
}

// Happening is one step in the life of one event for one job.
type Happening struct {
	Time    time.Time     `json:"time"`
	Event   aem.EventID   `json:"event_id"`
	ID      aem.JobID     `json:"id"`
	Job     string        `json:"job"`
	What    string        `json:"what"` // detected started returned retry done failed expired shed
	Attempt int           `json:"attempt,omitempty"`
	Reason  aem.Reason    `json:"reason,omitempty"`
	After   time.Duration `json:"after_ns,omitempty"` // of the attempt that ended
}

// Emitted is a published event and, for emit with wait, what became of it.
type Emitted struct {
	ID    aem.EventID `json:"id"`
	Jobs  int         `json:"jobs"` // how many it was activated for
	Fates []Fate      `json:"fates,omitempty"`
}

// Fate is how an event ended for one job.
type Fate struct {
	Job     string     `json:"job"`
	Outcome string     `json:"outcome"` // done failed expired shed
	Reason  aem.Reason `json:"reason,omitempty"`
	Reply   []byte     `json:"reply,omitempty"` // what the handler answered, in JSON as base64
}

// Letter is one dead letter.
type Letter struct {
	ID       aem.EventID `json:"id"`
	Job      string      `json:"job"`
	Type     string      `json:"type"`
	Time     time.Time   `json:"time"`   // when it was detected
	Failed   time.Time   `json:"failed"` // when it was given up
	Reason   aem.Reason  `json:"reason"`
	Attempts int         `json:"attempts"`
	Size     int         `json:"size"` // bytes of data
	Facts    []Fact      `json:"facts,omitempty"`
	Failure  string      `json:"failure,omitempty"` // its last failed completion in the form of the log
	Of       aem.EventID `json:"replay_of,omitempty"`
}

// Fact is one short named value of an event.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Replayed is a dead letter that was detected anew.
type Replayed struct {
	ID aem.EventID `json:"id"`
	Of aem.EventID `json:"replay_of"`
}
