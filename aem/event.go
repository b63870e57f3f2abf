package aem

import "time"

// Priority orders activations: 0..31, larger is more urgent.
type Priority uint8

// The levels of a priority.
const (
	PriorityLevels  = 32
	PriorityDefault = Priority(10)
)

// MaxFactBytes is the longest value a fact may have: facts go into argument lists and environments.
const MaxFactBytes = 4096

// Fact is one short named value of an event, such as its peer or its topic.
type Fact struct{ Name, Value string }

// Event is one occurrence: a value that nobody changes once its source made it. Facts and Data are shared by all the
// jobs that the event is activated for. An event is valid until its last activation is complete, and used again then.
type Event struct {
	ID    EventID
	Type  string
	Time  time.Time // when it was detected
	Count uint32    // arrivals in it: 1 unless its job merges
	Facts []Fact    // the type's own, in the order of its table
	Data  []byte
	FD    int     // the descriptor that comes with it, -1 without one; closed by whoever holds the event last
	Of    EventID // the dead letter it replays, 0 otherwise
	Users int     // activations of it that are not complete: the loop's
}

// Fact is the value of the named fact of the type.
func (e *Event) Fact(name string) (string, bool) {
	for _, f := range e.Facts {
		if f.Name == name {
			return f.Value, true
		}
	}
	return "", false
}
