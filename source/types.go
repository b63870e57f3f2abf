package source

import (
	"fmt"
	"slices"

	"github.com/aem-exec/aem-exec/aem"
)

// Type is everything known about one type of event: its row in the table. A new type is a row beside its source, one
// word in the list below, and its keys in config/eventkeys.go; `aem-exec sources` and docs/events.md come of it.
type Type struct {
	Name   string
	Facts  []Field          // its own, in the order of its events
	Data   string           // what the data of its events is; "": they have none
	Socket bool             // each brings a socket, which one handler gets: a connection, or the one that is ready
	Kernel string           // what of the kernel it stands on, with the man page; "": nothing
	Linux  string           // the first version that has that
	Probe  func() error     // why this kernel cannot; nil: every kernel that we run on can
	Parts  []Part           // what asks more of it
	Open   func(Env) Source // makes its source, once for all jobs

	// Merge takes a later event into an earlier one that still waits; nil: each is for itself. How is for people.
	Merge  func(into, e *aem.Event)
	Merged string
}

// Part is a key of a type that not every kernel can do which can do the rest, or not for everybody.
type Part struct {
	Key   string
	Probe func() error
}

// Field is one fact of a type.
type Field struct {
	Name  string
	Kind  aem.FactKind
	About string
}

// Types is the table.
func Types() []Type {
	return []Type{
		timerType,
		acceptType,
		readyType,
		readType,
		closeType,
		stateType,
		topicType,
		exitType,
		fileType,
		pressureType,
		signalType,
		deviceType,
		memoryType,
		limitType,
		failedType,
		agentType,
		errorType,
		diedType,
		deadlineType,
		silenceType,
	}
}

// Common are the facts of every type.
var Common = []Field{
	{"app", aem.FactText, "the app's name"},
	{"event", aem.FactText, "the event's name in its app"},
	{"handler", aem.FactText, "the handler's name"},
	{"id", aem.FactText, "of this one event, for ever"},
	{"type", aem.FactText, "the event's type"},
	{"attempt", aem.FactNumber, "1 for the first"},
	{"count", aem.FactNumber, "arrivals in it: 1 unless some were merged"},
	{"time", aem.FactTime, "when it was detected: of several arrivals, the first"},
	{"last", aem.FactTime, "when the last arrival in it was detected"},
}

// TypeNamed is the row of a type; it reports false when there is none.
func TypeNamed(name string) (Type, bool) {
	types := Types()
	i := slices.IndexFunc(types, func(t Type) bool { return t.Name == name })
	if i < 0 {
		return Type{}, false
	}
	return types[i], true
}

// BringsSocket reports whether each event of a type brings a socket, without which it is nothing.
func BringsSocket(typ string) bool {
	t, _ := TypeNamed(typ)
	return t.Socket
}

// Kinds are the kinds of fields, by name.
func Kinds(fields []Field) map[string]aem.FactKind {
	kinds := map[string]aem.FactKind{}
	for _, f := range fields {
		kinds[f.Name] = f.Kind
	}
	return kinds
}

// Names are the names of fields.
func Names(fields []Field) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return names
}

// Check reports why this kernel cannot detect events of the type.
func (t Type) Check() error {
	if t.Probe == nil {
		return nil
	}
	return t.Probe()
}

// Lacks says which of its keys do not work on this kernel, and why.
func (t Type) Lacks() map[string]string {
	lacks := map[string]string{}
	for _, p := range t.Parts {
		if err := p.Probe(); err != nil {
			lacks[p.Key] = err.Error()
		}
	}
	return lacks
}

// Open makes the source of one type, if this kernel has what it stands on.
func Open(typ string, e Env) (Source, error) {
	t, ok := TypeNamed(typ)
	if !ok {
		return nil, fmt.Errorf("open source: unknown type %q", typ)
	}
	return t.open(e)
}

func (t Type) open(e Env) (Source, error) {
	if err := t.Check(); err != nil {
		return nil, fmt.Errorf("type %s does not work on this host: %w", t.Name, err)
	}
	return t.Open(e), nil
}
