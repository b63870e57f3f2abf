package source

import (
	"encoding/binary"
	"syscall"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/sys"
)

var bellType = Type{
	Name:   "bell",
	Facts:  []Field{{"rung", aem.FactNumber, "how often, since it was told before"}},
	Kernel: "eventfd(2)",
	Linux:  "2.6.22",
	Open:   func(e Env) Source { return newBells(e) },
}

// Bell asks for an event when the bell was rung so often.
type Bell struct{ Least int64 }

// Type is "bell".
func (Bell) Type() string { return "bell" }

// bells is the source of type bell: one bell for all jobs, which is there while a job is started.
type bells struct {
	shared[int64]
	fd int
}

func newBells(e Env) *bells {
	s := &bells{}
	s.shared = newShared(e, s, s.found)
	return s
}

func (s *bells) open() (fd int, err error) {
	s.fd, err = sys.Eventfd()
	return s.fd, err
}

func (s *bells) shut() { sys.Close(s.fd) }

// want is nothing: the bell is heard by everybody.
func (s *bells) want() error { return nil }

// Ready takes what there is. It is called on the loop, and never waits.
func (s *bells) Ready(uint32) {
	var b [8]byte
	if n, _ := syscall.Read(s.fd, b[:]); n == len(b) {
		rung := int64(binary.NativeEndian.Uint64(b[:]))
		s.tell([]int64{rung}, 0, func(spec Spec, rung *int64) bool { return *rung >= spec.(Bell).Least })
	}
}

// found makes an event for a job: now, or when it is held no more.
func (s *bells) found(j *entry[int64], rung, lost int64) {
	e := s.env.Sink.NewEvent("bell")
	e.Lost = lost
	e.Facts = []aem.Fact{aem.NumberFact("rung", rung)}
	s.env.Sink.Detected(j.id, e)
}
