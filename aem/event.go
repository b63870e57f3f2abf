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
	Last  time.Time // when the last arrival in it was; zero: it is the only one
	Count uint32    // arrivals in it: 1 unless its job merges
	Lost  int64     // it tells that so many others were lost, -1 for nobody knows how many
	Facts []Fact    // the type's own, in the order of its table
	Data  []byte
	FD    int     // the descriptor that comes with it, -1 without one; closed by whoever holds the event last
	Of    EventID // the dead letter it replays, 0 otherwise

	// Origin is told how the event ended; nil: nobody is. It has Data back then, so whoever keeps that longer copies it.
	Origin Origin
	Pinned bool // Data may still be read after the end: by a copy that never returned
	Users  int  // activations of it that are not complete: the loop's

	// Answer is where Reply and Hangup write: the agent's that runs the handler.
	Answer *Answer

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

// SetFacts gives the event a copy of facts.
func (e *Event) SetFacts(facts []Fact) {
	e.Facts = nil
	for i := range facts {
		e.Add(facts[i])
	}
}

// Origin is what an event came from that waits for its end, as a connection does.
type Origin interface {
	// Ended is called once, on the loop. The event and the reply are valid until it returns.
	Ended(e *Event, c *Completion)
}

// Answer is what a Go function says of its event beside its error.
type Answer struct {
	Reply  []byte
	Hangup bool
}

// Reply answers the event with data, which goes to whoever can take it: the peer of a connection, the sender of a
// datagram, a publisher that waits. It is sent when the function has returned nil, and must not change until the
// function is called again; the last call wins. It is for Go functions, on the event that they are given.
func (e *Event) Reply(data []byte) {
	if e.Answer != nil {
		e.Answer.Reply = data
	}
}

// Hangup has the connection that the event came on closed behind the reply.
func (e *Event) Hangup() {
	if e.Answer != nil {
		e.Answer.Hangup = true
	}
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
