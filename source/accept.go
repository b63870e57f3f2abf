package source

import (
	"fmt"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/sys"
)

var acceptType = Type{
	Name: "socket.accept",
	Facts: []Field{
		{"peer", aem.FactText, "the client's address: `IP:PORT`, or `unix:` and its path"},
		{"local", aem.FactText, "the address that it connected to"},
	},
	Socket: true,
	Kernel: "accept4(2) on a listening socket, watched by epoll(7)",
	Linux:  "2.6.28",
	Open:   func(e Env) Source { return newAccepts(e) },
}

// accepts is the source of type socket.accept.
type accepts struct {
	env   Env
	jobs  map[aem.JobID][]*listener
	limit int // of descriptors, RLIMIT_NOFILE
}

func newAccepts(e Env) *accepts {
	return &accepts{env: e, jobs: map[aem.JobID][]*listener{}, limit: sys.MaxDescriptors()}
}

func (a Accept) check() error {
	for _, addr := range a.Listen {
		if addr.scheme().datagrams {
			return fmt.Errorf("%s has no connections", addr)
		}
	}
	return a.Door.check(a.Listen)
}

// StaysOpen says that listeners may outlast a stop.
func (s *accepts) StaysOpen() {}

func (s *accepts) Start(id aem.JobID, spec Spec) error {
	if s.jobs[id] != nil {
		return nil
	}
	accept := spec.(Accept)
	sockets, err := openAll(accept.Listen, accept.Door)
	if err != nil {
		return err
	}
	listeners, err := listenAll(s.env, s.limit, id, s, accept.Door, sockets)
	if err == nil {
		s.jobs[id] = listeners
	}
	return err
}

func (s *accepts) Stop(id aem.JobID) {
	closeAll(s.jobs[id])
	delete(s.jobs, id)
}

func (s *accepts) Hold(id aem.JobID)   { holdAll(s.jobs[id]) }
func (s *accepts) Resume(id aem.JobID) { resumeAll(s.jobs[id]) }

func (s *accepts) Close() {
	for id := range s.jobs {
		s.Stop(id)
	}
}

func (s *accepts) take(l *listener, conn int, peer sys.Peer, g *guest) {
	e := s.env.Sink.NewEvent("socket.accept")
	e.FD = conn
	e.Facts = ends(conn, peer)
	if g != nil {
		e.Origin = g
	}
	s.env.Sink.Detected(l.job, e)
}
