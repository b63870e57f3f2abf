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
	Open: func(e Env) Source {
		return &Closes{env: e, jobs: map[aem.JobID]*closeJob{}, of: map[string][]*closeJob{}}
	},
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
	env  Env
	jobs map[aem.JobID]*closeJob
	of   map[string][]*closeJob // by the full name of the event whose connections they are
}

// closeJob is one started job.
type closeJob struct {
	backlog[ending]
	id aem.JobID
	of string
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
	j := &closeJob{id: id, of: spec.(Close).Of}
	s.jobs[id] = j
	s.of[j.of] = append(slices.Clone(s.of[j.of]), j) // a new list: an end may be going through the old one
	return nil
}

// Stop ends it; what was kept for it is gone, as it was never detected.
func (s *Closes) Stop(id aem.JobID) {
	j := s.jobs[id]
	if j == nil {
		return
	}
	delete(s.jobs, id)
	rest := slices.DeleteFunc(slices.Clone(s.of[j.of]), func(other *closeJob) bool { return other == j })
	if s.of[j.of] = rest; len(rest) == 0 {
		delete(s.of, j.of)
	}
}

// Hold keeps what comes for a job: a connection that has ended cannot wait.
func (s *Closes) Hold(id aem.JobID) {
	if j := s.jobs[id]; j != nil {
		j.held = true
	}
}

// Resume tells what was kept.
func (s *Closes) Resume(id aem.JobID) {
	if j := s.jobs[id]; j != nil {
		j.resume(func(e ending) { s.detect(j, e, 0) }, func(lost int64) {
			nobody := []aem.Fact{{Name: "peer"}, {Name: "local"}, aem.NumberFact("connection", 0)}
			s.detect(j, ending{facts: nobody, why: "overflow", opened: time.Now().UnixNano()}, lost)
		})
	}
}

// Kept is how many ends wait for a held job.
func (s *Closes) Kept(id aem.JobID) uint64 {
	if j := s.jobs[id]; j != nil {
		return j.count()
	}
	return 0
}

// Close is nothing: there is nothing of the kernel.
func (s *Closes) Close() {}

// closed tells of the end of a connection of the event of that name.
func (s *Closes) closed(of string, e ending) {
	for _, j := range s.of[of] {
		if s.jobs[j.id] == j && !j.keep(e) {
			s.detect(j, e, 0)
		}
	}
}

func (s *Closes) detect(j *closeJob, end ending, lost int64) {
	e := s.env.Sink.NewEvent("socket.close")
	e.Facts = append(slices.Clip(end.facts), aem.Fact{Name: "reason", Value: end.why},
		aem.NumberFact("received", end.received), aem.NumberFact("sent", end.sent), aem.TimeFact("opened", end.opened), aem.NumberFact("lost", lost))
	e.Lost = lost
	s.env.Sink.Detected(j.id, e)
}
