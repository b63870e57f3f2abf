package supervisor

import (
	"time"

	"github.com/aem-exec/aem-exec/aem"
)

// keptFree bounds the events and activations that are kept to be used again, so that a burst's memory is given back.
const keptFree = 4096

// recycled is what events and activations are made of, so that one more costs no allocation.
type recycled struct {
	events      []*aem.Event
	activations []*aem.Activation
}

// NewEvent is a fresh event of a type, detected now.
func (s *Supervisor) NewEvent(typ string) *aem.Event {
	s.lastID++
	e := take(&s.recycled.events)
	*e = aem.Event{ID: s.lastID, Type: typ, Time: time.Now(), Count: 1, FD: -1}
	return e
}

// newActivation is a fresh activation of an event.
func (s *Supervisor) newActivation(e *aem.Event) *aem.Activation {
	e.Users++
	a := take(&s.recycled.activations)
	*a = aem.Activation{Event: e}
	return a
}

// recycle takes back an activation that is complete, and its event with the last of them. Nobody has them any more.
func (s *Supervisor) recycle(a *aem.Activation) {
	e := a.Event
	if e.Users--; e.Users == 0 {
		give(&s.recycled.events, e)
	}
	give(&s.recycled.activations, a)
}

func take[T any](free *[]*T) *T {
	n := len(*free)
	if n == 0 {
		return new(T)
	}
	v := (*free)[n-1]
	*free = (*free)[:n-1]
	return v
}

func give[T any](free *[]*T, v *T) {
	*v = *new(T) // what it names must not be kept alive from here
	if len(*free) < keptFree {
		*free = append(*free, v)
	}
}
