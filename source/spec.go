package source

import (
	"fmt"
	"path"
	"strings"
	"time"
)

// Spec says what one registration wants to be told of: a plain value of one of the types below.
type Spec interface {
	// Type is the name of the event type, as in `type = "timer"`.
	Type() string
}

// Accept asks for an event for each connection to one of the addresses.
type Accept struct {
	Listen []Address
	Door   Door
}

// Ready asks for an event when a socket at one of the addresses has something, a connection or a datagram. The socket itself
// goes to the handler, and is not looked at again until the event has its fate.
type Ready struct {
	Listen []Address
	Door   Door       // but for who gets in: that is the handler's
	Own    *OwnSocket // of a program, in place of those; it is not given away with its events
}

// Read asks for an event for each frame that comes on a connection to one of the addresses, or for each datagram.
type Read struct {
	Name        string // the full name of the event, APP/NAME, for socket.close
	Listen      []Address
	Door        Door
	Frame       Frame
	MaxBytes    int           // of a frame
	Connections int           // open at once
	Idle        time.Duration // without a frame, after which a connection is closed; 0: never
}

// Topic asks for an event for each publication under the full name, APP/NAME.
type Topic struct {
	Name string
}

// Notice asks for an event each time that the supervisor tells of itself: of a Kind, about Apps.
type Notice struct {
	Kind string   // supervisor.limit, supervisor.failed or supervisor.agent
	Apps []string // names or patterns in the style of path.Match
}

// Type is "socket.accept".
func (Accept) Type() string { return "socket.accept" }

// Type is "socket.ready".
func (Ready) Type() string { return "socket.ready" }

// Type is "socket.read".
func (Read) Type() string { return "socket.read" }

// Type is "topic".
func (Topic) Type() string { return "topic" }

// Type is the kind, "supervisor.limit" and the like.
func (n Notice) Type() string { return n.Kind }

// Check reports what makes a spec impossible whatever the host.
func Check(s Spec) error {
	switch s := s.(type) {
	case Timer:
		return s.check()
	case File:
		return s.check()
	case ProcessExit:
		return s.check()
	case Accept:
		return s.check()
	case Ready:
		if s.Own != nil {
			return nil
		}
		return s.Door.check(s.Listen)
	case Read:
		return s.check()
	case Close:
		return s.check()
	case Pressure:
		return s.check()
	case Device:
		return s.check()
	case Memory:
		return s.check()
	case Signal:
		return s.check()
	case State:
		return s.check()
	case Topic:
		if app, name, ok := strings.Cut(s.Name, "/"); !ok || app == "" || name == "" {
			return fmt.Errorf("topic %q: want APP/NAME", s.Name)
		}
	case Notice:
		return s.check()
	}
	return nil
}

// CheckHost reports what keeps this host from telling of a spec that is possible elsewhere.
func CheckHost(s Spec) error {
	if h, ok := s.(interface{ CheckHost() error }); ok {
		return h.CheckHost()
	}
	return nil
}

// CheckPlace reports what keeps one place on it from being told of. That takes as long as a file system likes: it is not for the
// loop.
func CheckPlace(s Spec) error {
	if p, ok := s.(interface{ CheckPlace() error }); ok {
		return p.CheckPlace()
	}
	return nil
}

func (n Notice) check() error {
	for _, pattern := range n.Apps {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("apps: %q is no pattern", pattern)
		}
	}
	return nil
}
