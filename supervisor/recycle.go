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
	e.ID, e.Type, e.Time, e.Count, e.FD = s.lastID, typ, s.now(), 1, -1
	return e
}

// now is the time. All that the poller finds in one wait is detected at the same time, when the wait was over, and so is
// all that falls due in a turn, which spares each event two looks at the clock.
func (s *Supervisor) now() time.Time {
	if !s.sensing {
		return time.Now()
	}
	if s.sensed.IsZero() {
		s.sensed = time.Now()
	}
	return s.sensed
}

// newActivation is a fresh activation of an event.
func (s *Supervisor) newActivation(e *aem.Event) *aem.Activation {
	e.Users++
	a := take(&s.recycled.activations)
	a.Event = e
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

// take is a zero value, used before or new.
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
