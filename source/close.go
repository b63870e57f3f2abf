package source

import (
	"errors"
	"slices"
	"time"

	"github.com/aem-exec/aem-exec/aem"
)

var closeType = Type{
	Name: "socket.close",
	Facts: []Field{
		{"peer", aem.FactText, "the other end's address"},
		{"local", aem.FactText, "our own"},
		{"connection", aem.FactNumber, "its number, as the events of `of` have it"},
		{"reason", aem.FactText, "`peer` ended it and all was answered; `reset`: it broke; `handler`: a Go function hung up; `fate`: a frame was not done; `frame`: one was too long or cut off; `slow`: the peer took nothing of a reply; `idle`: no frame came for too long; `stopped`: `of` was; `overflow`: ends were lost"},
		{"received", aem.FactNumber, "bytes that came on it"},
		{"sent", aem.FactNumber, "bytes of replies that the kernel took"},
		{"opened", aem.FactTime, "when it was accepted"},
		{"lost", aem.FactNumber, "with `overflow`: how many ends"},
	},
	Kernel: "nothing beside what socket.read does",
	Linux:  "2.6.33",
	Open:   func(e Env) Source { return newCloses(e) },
}

// Close asks for an event for the end of each connection of a job of socket.read.
type Close struct {
	Of string // the full name of its event, APP/NAME
}

// Type is "socket.close".
func (Close) Type() string { return "socket.close" }

func (c Close) check() error {
	if c.Of == "" {
		return errors.New("of is missing")
	}
	return nil
}

// Closes is the source of type socket.close: the source of socket.read tells it of ends.
type Closes struct {
	roster[ending]
	env Env
	of  map[string][]*entry[ending] // by the full name of the event whose connections they are
}

func newCloses(e Env) *Closes {
	s := &Closes{env: e, of: map[string][]*entry[ending]{}}
	s.roster = newRoster(s.found)
	return s
}

// ending is the end of a connection.
type ending struct {
	facts          []aem.Fact // of the connection's other events
	why            string
	received, sent int64
	opened         int64 // ns since 1970
}

// Start begins to tell a job of ends.
func (s *Closes) Start(id aem.JobID, spec Spec) error {
	of := spec.(Close).Of
	s.of[of] = append(slices.Clone(s.of[of]), s.add(id, spec)) // a new list: an end may be going through the old one
	return nil
}

// Stop ends it; what was kept for it is gone, as it was never detected.
func (s *Closes) Stop(id aem.JobID) {
	j := s.remove(id)
	if j == nil {
		return
	}
	of := j.spec.(Close).Of
	rest := slices.DeleteFunc(slices.Clone(s.of[of]), func(other *entry[ending]) bool { return other == j })
	if s.of[of] = rest; len(rest) == 0 {
		delete(s.of, of)
	}
}

// Close is nothing: there is nothing of the kernel.
func (s *Closes) Close() {}

// closed tells of the end of a connection of the event of that name.
func (s *Closes) closed(of string, e ending) {
	for _, j := range s.of[of] {
		s.give(j, e)
	}
}

func (s *Closes) found(j *entry[ending], end ending, lost int64) {
	if lost > 0 {
		end = ending{why: "overflow", opened: time.Now().UnixNano(), facts: []aem.Fact{{Name: "peer"}, {Name: "local"}, aem.NumberFact("connection", 0)}}
	}
	e := s.env.Sink.NewEvent("socket.close")
	e.Facts = append(slices.Clip(end.facts), aem.Fact{Name: "reason", Value: end.why},
		aem.NumberFact("received", end.received), aem.NumberFact("sent", end.sent), aem.TimeFact("opened", end.opened), aem.NumberFact("lost", lost))
	e.Lost = lost
	s.env.Sink.Detected(j.id, e)
}
