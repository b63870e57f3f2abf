package source

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"strings"
	"time"
)

// Spec says what one registration wants to be told of: a plain value of one of the types below.
type Spec interface {
	// Type is the name of the event type, as in `type = "timer"`.
	Type() string
}

// Timer asks for an event once, After its job's start, or Every so often, the first one First after the start.
type Timer struct {
	After time.Duration
	Every time.Duration // 0: once
	First time.Duration
}

// Accept asks for an event for each connection to one of the addresses.
type Accept struct {
	Listen []Address
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

// Type is "timer".
func (Timer) Type() string { return "timer" }

// Type is "socket.accept".
func (Accept) Type() string { return "socket.accept" }

// Type is "topic".
func (Topic) Type() string { return "topic" }

// Type is the kind, "supervisor.limit" and the like.
func (n Notice) Type() string { return n.Kind }

// Address is where a socket listens.
type Address struct {
	Scheme string         // tcp or unix
	IP     netip.AddrPort // of tcp
	Path   string         // of unix; a leading @ means the abstract namespace
}

// String is the form that ParseAddress reads.
func (a Address) String() string {
	if a.Scheme == "unix" && strings.HasPrefix(a.Path, "@") {
		return "unix:" + a.Path
	}
	if a.Scheme == "unix" {
		return "unix://" + a.Path
	}
	return a.Scheme + "://" + a.IP.String()
}

// maxUnixPathBytes is the longest path that fits struct sockaddr_un with its final NUL, man 7 unix.
const maxUnixPathBytes = 107

// ParseAddress reads tcp://127.0.0.1:7007, tcp://[::]:80, unix:///run/x.sock or unix:@name.
func ParseAddress(s string) (Address, error) {
	if rest, ok := strings.CutPrefix(s, "tcp://"); ok {
		ip, err := netip.ParseAddrPort(rest)
		if err != nil {
			return Address{}, fmt.Errorf("listen %q: want tcp://IP:PORT, like tcp://127.0.0.1:7007 or tcp://[::]:80", s)
		}
		return Address{Scheme: "tcp", IP: ip}, nil
	}
	path, abstract := strings.CutPrefix(s, "unix:@")
	if abstract {
		path = "@" + path
	} else if path, abstract = strings.CutPrefix(s, "unix://"); !abstract {
		return Address{}, fmt.Errorf("listen %q: want tcp://IP:PORT, unix:///PATH or unix:@NAME", s)
	}
	switch {
	case len(path) < 2 || path[0] != '/' && path[0] != '@':
		return Address{}, fmt.Errorf("listen %q: want unix: and an absolute path or @name", s)
	case strings.IndexByte(path, 0) >= 0: // the kernel would take what is before it, man 7 unix
		return Address{}, fmt.Errorf("listen %q: the path contains NUL", s)
	case len(path) > maxUnixPathBytes:
		return Address{}, fmt.Errorf("listen %q: the path is longer than %d bytes", s, maxUnixPathBytes)
	}
	return Address{Scheme: "unix", Path: path}, nil
}

// Check reports what makes a spec impossible whatever the host.
func Check(s Spec) error {
	switch s := s.(type) {
	case Timer:
		return s.check()
	case File:
		return s.check()
	case Accept:
		if len(s.Listen) == 0 {
			return errors.New("listen is missing")
		}
	case Topic:
		if app, name, ok := strings.Cut(s.Name, "/"); !ok || app == "" || name == "" {
			return fmt.Errorf("topic %q: want APP/NAME", s.Name)
		}
	case Notice:
		return s.check()
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

func (t Timer) check() error {
	switch {
	case (t.After != 0) == (t.Every != 0):
		return errors.New("a timer wants exactly one of after, every")
	case t.After < 0, t.Every < 0, t.First < 0:
		return errors.New("a timer's durations are not negative")
	case t.Every != 0 && t.Every < minEvery:
		return fmt.Errorf("every is at least %v", minEvery)
	}
	return nil
}

// minEvery bounds how much of the machine one timer can ask for.
const minEvery = time.Millisecond
