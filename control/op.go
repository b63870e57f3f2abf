package control

import "fmt"

// Version is the protocol's version. A frame of another version is answered with EPROTONOSUPPORT and the connection
// closed, so that no operation is misread.
//
// History:
//
//	1  version list lookup start stop fire remove emit dead-list dead-show dead-replay dead-drop;
//	   usage watch priority timeout clean, later;
//	   attach register filter reload, and close of stop, later.
const Version = 1

// Op is the number of an operation. Numbers are never used again.
type Op uint16

// The operations.
const (
	OpVersion    Op = 1
	OpList       Op = 2
	OpLookup     Op = 3
	OpStart      Op = 4
	OpStop       Op = 5
	OpFire       Op = 6
	OpRemove     Op = 7
	OpEmit       Op = 8
	OpDeadList   Op = 9
	OpDeadShow   Op = 10
	OpDeadReplay Op = 11
	OpDeadDrop   Op = 12
	OpUsage      Op = 13
	OpWatch      Op = 14
	OpPriority   Op = 15
	OpFilter     Op = 16
	OpTimeout    Op = 17
	OpClean      Op = 18
	OpReload     Op = 19
	OpAttach     Op = 20
	OpRegister   Op = 21
)

// argument is a set of what a request can carry.
type argument uint32

const (
	argSelectors argument = 1 << iota
	argAll
	argIDs
	argTopic
	argWait
	argData
	argPriority
	argTimeout
	argSince
	argApps
	argOwn
	argApp
	argHandler
	argToken
	argEvents
	argQuiet
	argDescriptors
	argFilter
	argClose

	argWatched = argSelectors | argAll
	argJobs    = argWatched | argOwn
	argActing  = argJobs | argQuiet
	argLetters = argWatched | argIDs
)

// operation is one row of the table.
type operation struct {
	name    string
	changes bool     // it changes things, so what it means must be said: there is no default
	takes   argument // what it understands; anything else is refused, never ignored
	needs   argument // at least one of these must be there
	want    string   // what to say when none is
	whole   bool     // it is about the supervisor, and not about jobs of it
}

const (
	wantJobs    = "a selector (app/event, a pattern like app/*, an id like 12:7) or --all"
	wantLetters = "the id of a dead letter, a selector (app/event, a pattern like app/*) or --all"
)

// operations is the table of all of them.
var operations = map[Op]operation{
	OpVersion:    {name: "version"},
	OpList:       {name: "list", takes: argJobs},
	OpLookup:     {name: "lookup", takes: argJobs, needs: argJobs, want: wantJobs},
	OpStart:      {name: "start", changes: true, takes: argActing, needs: argJobs, want: wantJobs},
	OpStop:       {name: "stop", changes: true, takes: argActing | argClose, needs: argJobs, want: wantJobs},
	OpFire:       {name: "fire", changes: true, takes: argActing, needs: argJobs, want: wantJobs},
	OpRemove:     {name: "remove", changes: true, takes: argActing, needs: argJobs, want: wantJobs},
	OpEmit:       {name: "emit", changes: true, takes: argTopic | argWait | argData, needs: argTopic, want: "a topic (app/topic)"},
	OpDeadList:   {name: "dead list", takes: argLetters},
	OpDeadShow:   {name: "dead show", takes: argIDs, needs: argIDs, want: "the id of a dead letter"},
	OpDeadReplay: {name: "dead replay", changes: true, takes: argLetters, needs: argLetters, want: wantLetters},
	OpDeadDrop:   {name: "dead drop", changes: true, takes: argLetters, needs: argLetters, want: wantLetters},
	OpUsage:      {name: "usage", takes: argApps | argAll},
	OpWatch:      {name: "watch", takes: argWatched | argSince},
	OpPriority:   {name: "priority", changes: true, takes: argActing | argPriority, needs: argJobs, want: wantJobs},
	OpFilter:     {name: "filter", changes: true, takes: argActing | argFilter, needs: argJobs, want: wantJobs},
	OpTimeout:    {name: "timeout", changes: true, takes: argActing | argTimeout, needs: argJobs, want: wantJobs},
	OpClean:      {name: "clean", changes: true, takes: argActing, needs: argJobs, want: wantJobs},
	OpReload:     {name: "reload", changes: true, whole: true},
	OpAttach:     {name: "attach", changes: true, takes: argApp | argHandler | argToken, needs: argApp, want: "an app"},
	OpRegister:   {name: "register", changes: true, takes: argEvents | argDescriptors, needs: argEvents, want: "events"},
}

// String is the operation's name, as typed after `ctl`.
func (op Op) String() string {
	if row, ok := operations[op]; ok {
		return row.name
	}
	return fmt.Sprintf("operation %d", uint16(op))
}

// Changes reports whether the operation changes anything.
func (op Op) Changes() bool { return operations[op].changes }
