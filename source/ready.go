package source

import (
	"bytes"
	"slices"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/internal/timing"
)

var readyType = Type{
	Name: "socket.ready",
	Facts: []Field{
		{"local", aem.FactText, "the socket's address: `IP:PORT`, or `unix:` and its path"},
		{"conditions", aem.FactText, "of a program's own socket: what it is ready for, of `in`, `out`, `hup`, `err`, with a space between"},
	},
	Socket: true,
	Kernel: "a bound socket, watched by epoll(7)",
	Linux:  "2.6",
	Open: func(e Env) Source {
		return &readies{env: e, jobs: map[aem.JobID][]*bound{}, owned: map[aem.JobID]*owned{}}
	},
}

// readies is the source of type socket.ready: what inetd calls wait.
type readies struct {
	env   Env
	jobs  map[aem.JobID][]*bound
	owned map[aem.JobID]*owned // those of programs
}

// bound is one socket of a started job. From its event on until that has its fate the socket is the handler's.
type bound struct {
	socket
	source  *readies
	job     aem.JobID
	facts   []aem.Fact
	watch   Watch
	held    bool // by the job
	given   bool // a handler has it
	stopped bool

	first []byte // the datagram that it was given for
	vain  int    // handlers in a row that left as much as they found
	wait  timing.Alarm
}

// A handler that ends and leaves its socket ready is given it again at once, as often as patientVain says; then after
// waits that double. A datagram that is not the same as before counts as taken; connections are to be taken until none
// is left.
const (
	patientVain = 10
	vainWait    = 100 * time.Millisecond
	vainWaitMax = 5 * time.Second
)

// StaysOpen says that sockets may outlast a stop.
func (s *readies) StaysOpen() {}

func (s *readies) Start(id aem.JobID, spec Spec) error {
	if s.jobs[id] != nil || s.owned[id] != nil {
		return nil
	}
	ready := spec.(Ready)
	if ready.Own != nil {
		return s.startOwn(id, ready.Own)
	}
	sockets, err := openAll(ready.Listen, ready.Door)
	if err != nil {
		return err
	}
	var all []*bound
	for i, one := range sockets {
		b := &bound{socket: one, source: s, job: id}
		if b.watch, err = s.env.Poller.Add(b.fd, sys.EPOLLIN, b); err != nil {
			for _, other := range all {
				other.stop()
			}
			for _, rest := range sockets[i:] {
				rest.close()
			}
			return err
		}
		if local, err := sys.LocalName(b.fd); err == nil {
			b.facts = []aem.Fact{{Name: "local", Value: endName(local)}}
		}
		all = append(all, b)
	}
	s.jobs[id] = all
	return nil
}

func (s *readies) Stop(id aem.JobID) {
	for _, b := range s.jobs[id] {
		b.stop()
	}
	delete(s.jobs, id)
	if o := s.owned[id]; o != nil {
		o.stop()
		delete(s.owned, id)
	}
}

func (s *readies) Hold(id aem.JobID) {
	for _, b := range s.jobs[id] {
		b.held = true
		s.env.Poller.Hold(b.watch)
	}
	if o := s.owned[id]; o != nil {
		o.hold()
	}
}

func (s *readies) Resume(id aem.JobID) {
	for _, b := range s.jobs[id] {
		b.held = false
		b.resume()
	}
	if o := s.owned[id]; o != nil {
		o.held = false
		o.resume()
	}
}

func (s *readies) Close() {
	for id := range s.jobs {
		s.Stop(id)
	}
	for id := range s.owned {
		s.Stop(id)
	}
}

// stop lets go of the socket; a handler that has it keeps its copy.
func (b *bound) stop() {
	b.stopped = true
	b.wait.Stop()
	b.source.env.Poller.Remove(b.watch)
	b.close()
}

// Ready gives the socket away.
func (b *bound) Ready(uint32) {
	env := b.source.env
	env.Poller.Hold(b.watch)
	own, err := sys.Dup(b.fd, 0)
	if err == nil {
		err = sys.Block(own) // as programs expect of a socket they are given, whatever the last one made of it
	}
	if err != nil {
		env.Sink.Trouble(b.job, err)
		env.Alarms.After(&b.wait, acceptRetry, func() {
			env.Sink.Trouble(b.job, nil)
			b.resume()
		})
		return
	}
	b.given, b.first = true, b.peek()
	e := env.Sink.NewEvent("socket.ready")
	e.FD, e.Facts, e.Origin = own, b.facts, b
	env.Sink.Detected(b.job, e)
}

// Ended takes the socket back.
func (b *bound) Ended(*aem.Event, *aem.Completion) {
	b.given = false
	if b.stopped {
		return
	}
	if !b.inVain() {
		b.vain = 0
		b.resume()
		return
	}
	if b.vain++; b.vain <= patientVain {
		b.resume()
		return
	}
	wait := min(vainWait<<min(b.vain-patientVain-1, 16), vainWaitMax)
	env := b.source.env
	env.Log.Warn("a handler leaves its socket as it found it", "on", b.addr, "times", b.vain, "again", wait)
	env.Alarms.After(&b.wait, wait, b.resume)
}

// inVain reports whether the socket has what it had when it was given away.
func (b *bound) inVain() bool {
	if !sys.Readable(b.fd) {
		return false
	}
	return !b.kind.datagrams || bytes.Equal(b.first, b.peek())
}

// peeked is how much of a datagram is looked at to know it again.
const peeked = 512

// peek is the datagram that comes next, its sender included; nothing of a socket that listens.
func (b *bound) peek() []byte {
	if !b.kind.datagrams {
		return nil
	}
	var room [peeked]byte
	n, from := sys.Peek(b.fd, room[:])
	return slices.Concat(room[:n], []byte(endName(from)))
}

func (b *bound) resume() {
	if b.held || b.given || b.stopped || b.wait.Set() {
		return
	}
	if err := b.source.env.Poller.Resume(b.watch); err != nil {
		b.source.env.Alarms.After(&b.wait, acceptRetry, b.resume)
	}
}
