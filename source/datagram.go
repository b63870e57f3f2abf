package source

import (
	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// port is one socket of socket.read that datagrams come to. Each is an event of its own, and a reply goes back to where
// it came from, if the kernel takes it at once: else it is lost, as datagrams may be.
type port struct {
	socket
	reading *reading
	local   string
	watch   Watch
	stopped bool
	kept    []*letter // taken from the kernel when the job was held: at most a batch
}

// letter is one datagram that is an event.
type letter struct {
	port *port
	from sys.Sender
	buf  []byte
}

// openPort begins to receive. If it cannot, the socket stays the caller's.
func (r *reading) openPort(from socket) (err error) {
	s := r.source
	p := &port{socket: from, reading: r}
	if local, err := sys.LocalName(p.fd); err == nil {
		p.local = endName(local)
	}
	if p.watch, err = s.env.Poller.Add(p.fd, sys.EPOLLIN, p); err != nil {
		return err
	}
	if s.batch == nil || s.batch.Size() < r.spec.MaxBytes {
		s.batch = sys.NewDatagrams(r.spec.MaxBytes)
	}
	r.ports = append(r.ports, p)
	return nil
}

// stopPorts takes no more. A datagram that was kept is no event yet, and goes with them.
func (r *reading) stopPorts() {
	for _, p := range r.ports {
		r.source.env.Poller.Remove(p.watch)
		p.kept = nil
		p.stopped = true
	}
	if r.letters == 0 {
		r.closePorts()
	}
}

// closePorts ends the sockets.
func (r *reading) closePorts() {
	for _, p := range r.ports {
		p.close()
	}
	r.ports = nil
}

// Ready takes one batch.
func (p *port) Ready(uint32) {
	r, s := p.reading, p.reading.source
	n, err := s.batch.Receive(p.fd, r.spec.MaxBytes)
	if err != nil {
		return // none, or the report of a reply that nobody took
	}
	for i := 0; i < n && !p.stopped; i++ {
		data, whole := s.batch.Data(i)
		if !whole {
			r.tooLong.add(s.env, "datagrams were thrown away: longer than max_bytes", "on", p.addr)
			continue
		}
		l := s.letter(p)
		s.batch.From(i, &l.from)
		if allow := r.spec.Door.Allow; allow != nil && p.kind.ip && !r.spec.Door.allows(l.from.Peer().IP.Addr()) {
			r.refused.add(s.env, "datagrams were thrown away: who sent them is not in allow", "on", p.addr, "peer", endName(l.from.Peer()))
			s.drop(l)
			continue
		}
		l.buf = s.buffers.add(nil, data)
		if r.held {
			p.kept = append(p.kept, l)
			continue
		}
		l.detect()
	}
}

// resume detects what was kept, and polls again.
func (p *port) resume() {
	list := p.kept
	p.kept = nil
	for i, l := range list {
		if p.reading.held {
			p.kept = append(p.kept, list[i:]...)
			return
		}
		l.detect()
	}
	if p.reading.held {
		return
	}
	env := p.reading.source.env
	if err := env.Poller.Resume(p.watch); err != nil {
		env.Log.Error("a socket is not read any more", "on", p.addr, "err", err)
	}
}

func (l *letter) detect() {
	r, s := l.port.reading, l.port.reading.source
	e := s.env.Sink.NewEvent("socket.read")
	e.Facts, e.Data, e.Origin = s.senders.facts(l), l.buf, l
	r.letters++
	s.env.Sink.Detected(r.job, e)
}

// Ended sends the reply.
func (l *letter) Ended(e *aem.Event, end *aem.Completion) {
	p, r, s := l.port, l.port.reading, l.port.reading.source
	if end.Outcome == aem.Done && len(end.Reply) > 0 {
		if err := sys.SendTo(p.fd, end.Reply, &l.from); err != nil {
			r.unsent.add(s.env, "replies to datagrams were lost", "on", p.addr, "err", err)
		}
	}
	if !e.Pinned {
		s.buffers.put(l.buf)
	}
	s.drop(l)
	if r.letters--; r.letters == 0 && r.stopped {
		r.closePorts()
		r.leave()
	}
}

// keptLetters bounds the letters that are kept to be used again.
const keptLetters = 4096

// drop takes back what letter gave.
func (s *reads) drop(l *letter) {
	*l = letter{}
	if len(s.letters) < keptLetters {
		s.letters = append(s.letters, l)
	}
}

func (s *reads) letter(p *port) *letter {
	n := len(s.letters)
	if n == 0 {
		return &letter{port: p}
	}
	l := s.letters[n-1]
	s.letters = s.letters[:n-1]
	l.port = p
	return l
}

// senders remembers the facts of datagrams by where they come from and to, so that one more costs no allocation.
type senders struct{ known map[route][]aem.Fact }

type route struct {
	from  sys.Peer
	local string
}

// knownSenders is how many are remembered; then all are forgotten.
const knownSenders = 1024

func (s *senders) facts(l *letter) []aem.Fact {
	key := route{l.from.Peer(), l.port.local}
	facts, ok := s.known[key]
	if !ok {
		if len(s.known) >= knownSenders || s.known == nil {
			s.known = map[route][]aem.Fact{}
		}
		facts = []aem.Fact{{Name: "peer", Value: endName(key.from)}, {Name: "local", Value: key.local}, aem.NumberFact("connection", 0)}
		s.known[key] = facts
	}
	return facts
}
