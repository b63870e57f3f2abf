package aem

import "time"

// Priority orders activations: 0..31, larger is more urgent.
type Priority uint8

// The levels of a priority.
const (
	PriorityLevels  = 32
	PriorityDefault = Priority(10)
)

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

	own [ownFacts]Fact // where Add puts facts
}

// ownFacts is how many facts an event has room for in itself.
const ownFacts = 4

// Add gives the event one more fact: for its source, as long as nobody else has it. The first ones cost no allocation.
func (e *Event) Add(f Fact) {
	if e.Facts == nil {
		e.Facts = e.own[:0]
	}
	e.Facts = append(e.Facts, f)
}

// Fact is the value of the named fact of the type, as text.
func (e *Event) Fact(name string) (string, bool) {
	for i := range e.Facts {
		if f := &e.Facts[i]; f.Name == name {
			return f.Text(), true
		}
	}
	return "", false
}
