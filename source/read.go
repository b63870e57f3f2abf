package source

import (
	"fmt"
	"slices"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/internal/timing"
)

var readType = Type{
	Name: "socket.read",
	Facts: []Field{
		{"peer", aem.FactText, "the sender's address: `IP:PORT`, or `unix:` and its path"},
		{"local", aem.FactText, "the address that it sent to"},
		{"connection", aem.FactNumber, "counts connections up from 1; 0 for a datagram"},
	},
	Data:   "the frame",
	Kernel: "recv(2) and, for datagrams, recvmmsg(2), watched by epoll(7)",
	Linux:  "2.6.33",
	Open:   func(e Env) Source { return newReads(e) },
}

// reads is the source of type socket.read. A connection is one activation at a time: while its frame has no fate,
// nothing more is read of it, so that its frames are in order, and its peer waits in the kernel. It holds a buffer
// only while it has something in it.
type reads struct {
	env     Env
	jobs    map[aem.JobID]*reading
	leaving []*reading // stopped, with connections that still have something to finish
	last    int64      // number of the last connection
	limit   int        // of descriptors, RLIMIT_NOFILE

	scratch []byte // what one read gives, until it is known how much that is
	buffers buffers
	batch   *sys.Datagrams // nil without a socket for them
	letters []*letter      // used up
	senders senders
}

// reading is one started job.
type reading struct {
	source    *reads
	job       aem.JobID
	spec      Read
	listeners []*listener
	ports     []*port
	conns     []*conn

	held       bool
	full       bool    // there are as many connections as there may be
	stopped    bool    // no more frames; what is under way may finish
	waiting    []*conn // connections that had something to read, or have, since the job is held
	sweep      timing.Alarm
	unfinished int // bytes of buffers with the beginning of a frame
	letters    int // datagrams that are events
	tooLong    tally
	unsent     tally
	refused    tally
}

func newReads(e Env) *reads {
	return &reads{env: e, jobs: map[aem.JobID]*reading{}, limit: sys.MaxDescriptors(), scratch: make([]byte, readBytes)}
}

// StaysOpen says that sockets and connections may outlast a stop.
func (s *reads) StaysOpen() {}

func (s *reads) Start(id aem.JobID, spec Spec) (err error) {
	if s.jobs[id] != nil {
		return nil
	}
	r := &reading{source: s, job: id, spec: spec.(Read)}
	sockets, err := openAll(r.spec.Listen, r.spec.Door)
	if err != nil {
		return err
	}
	var connected []socket
	for i, one := range sockets {
		switch {
		case one.kind.packets != (r.spec.Frame == Datagram):
			err = fmt.Errorf("listen on %s: frame = %q is not for this kind of socket", one.addr, r.spec.Frame)
		case one.kind.datagrams:
			err = r.openPort(one)
		default:
			connected = append(connected, one)
			continue
		}
		if err != nil {
			r.stopPorts()
			for _, rest := range append(connected, sockets[i:]...) {
				rest.close()
			}
			return err
		}
	}
	if r.listeners, err = listenAll(s.env, s.limit, id, r, r.spec.Door, connected); err != nil {
		r.stopPorts()
		return err
	}
	if r.spec.Frame == Datagram && len(s.scratch) < r.spec.MaxBytes {
		s.scratch = make([]byte, r.spec.MaxBytes)
	}
	s.jobs[id] = r
	if r.spec.Idle > 0 {
		s.env.Alarms.After(&r.sweep, r.spec.Idle/2, r.sweepIdle)
	}
	return nil
}

// sweepIdle closes connections that have been at rest for too long: half as long again at the most, so that a frame costs
// no alarm. The beginning of a frame is no frame.
func (r *reading) sweepIdle() {
	least := timing.Now() - int64(r.spec.Idle)
	for _, c := range slices.Clone(r.conns) {
		if !r.held && c.fd >= 0 && !c.busy && !c.waits && c.slow == nil && c.rested < least {
			c.finish(endIdle)
		}
	}
	if !r.stopped {
		r.source.env.Alarms.After(&r.sweep, r.spec.Idle/2, r.sweepIdle)
	}
}

// Stop ends connections that are at rest. Of the others the frame that is an event may finish, and its reply be sent.
func (s *reads) Stop(id aem.JobID) {
	r := s.jobs[id]
	if r == nil {
		return
	}
	delete(s.jobs, id)
	r.stopped = true
	r.sweep.Stop()
	r.tooLong.stop()
	r.unsent.stop()
	r.refused.stop()
	closeAll(r.listeners)
	s.leaving = append(s.leaving, r)
	r.stopPorts()
	for _, c := range slices.Clone(r.conns) {
		c.stop()
	}
	r.leave()
}

// leave takes a stopped job that has nothing to finish off the list.
func (r *reading) leave() {
	if r.stopped && len(r.conns) == 0 && r.letters == 0 {
		s := r.source
		s.leaving = slices.DeleteFunc(s.leaving, func(other *reading) bool { return other == r })
	}
}

func (s *reads) Hold(id aem.JobID) {
	r := s.jobs[id]
	if r == nil {
		return
	}
	r.held = true // a connection is not polled any more as soon as it has something to read
	holdAll(r.listeners)
	for _, p := range r.ports {
		s.env.Poller.Hold(p.watch)
	}
}

func (s *reads) Resume(id aem.JobID) {
	r := s.jobs[id]
	if r == nil {
		return
	}
	r.held = false
	for _, p := range r.ports {
		p.resume()
	}
	list := r.waiting
	r.waiting = nil
	for i, c := range list {
		if r.held { // by what has just been detected
			r.waiting = append(list[i:], r.waiting...)
			return
		}
		c.waits = false
		c.goOn()
	}
	if !r.full && !r.held {
		resumeAll(r.listeners)
	}
}

// Close ends all connections, whatever is under way.
func (s *reads) Close() {
	for id := range s.jobs {
		s.Stop(id)
	}
	for _, r := range slices.Clone(s.leaving) {
		for _, c := range slices.Clone(r.conns) {
			c.close(endStopped)
		}
		r.closePorts()
	}
}

// Settled reports that no stopped job has anything to finish.
func (s *reads) Settled() bool { return len(s.leaving) == 0 }

// take begins to read from a connection.
func (r *reading) take(l *listener, fd int, peer sys.Peer, g *guest) {
	s := r.source
	s.last++
	c := &conn{reading: r, fd: fd, guest: g, packets: l.kind.packets, opened: time.Now().UnixNano(), rested: timing.Now()}
	watch, err := s.env.Poller.Add(fd, sys.EPOLLIN, c)
	if err != nil {
		sys.Close(fd)
		g.leave()
		l.pause(err)
		return
	}
	if l.kind.ip {
		sys.SendAtOnce(fd) //nolint:errcheck // then small replies wait for the last one's acknowledgement
	}
	c.watch = watch
	c.facts = append(ends(fd, peer), aem.NumberFact("connection", s.last))
	c.place = len(r.conns)
	r.conns = append(r.conns, c)
	if len(r.conns) >= r.spec.Connections {
		r.full = true
		holdAll(r.listeners)
	}
}

// forget takes a connection off the list that has just been closed.
func (r *reading) forget(c *conn) {
	last := len(r.conns) - 1
	moved := r.conns[last]
	r.conns[c.place], moved.place = moved, c.place
	r.conns[last] = nil
	r.conns = r.conns[:last]
	r.leave()
	if r.full && !r.stopped {
		if r.full = false; !r.held {
			resumeAll(r.listeners)
		}
	}
}
