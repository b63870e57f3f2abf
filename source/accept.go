package source

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/internal/timing"
)

// Bounds of accepting.
const (
	acceptBatch   = 64                     // connections of one listener in one turn
	acceptBacklog = 4096                   // connections that wait in the kernel; the kernel takes the smaller of this and net.core.somaxconn
	acceptRetry   = 100 * time.Millisecond // until a listener that found no descriptor or memory tries again
	keptBack      = 64                     // descriptors left for control and for making processes
)

var acceptType = Type{
	Name: "socket.accept",
	Facts: []Field{
		{"peer", aem.FactText, "the client's address: `IP:PORT`, or `unix:` and its path"},
		{"local", aem.FactText, "the address that it connected to"},
	},
	Kernel: "accept4(2) on a listening socket, watched by epoll(7)",
	Open:   func(e Env) Source { return newAccepts(e) },
}

// accepts is the source of type socket.accept.
type accepts struct {
	env   Env
	jobs  map[aem.JobID][]*listener
	limit int // of descriptors, RLIMIT_NOFILE
}

// listener is one listening socket of a job.
type listener struct {
	source *accepts
	job    aem.JobID
	addr   Address
	fd     int
	watch  Watch
	held   bool // by the job
	retry  timing.Alarm
}

func newAccepts(e Env) *accepts {
	return &accepts{env: e, jobs: map[aem.JobID][]*listener{}, limit: sys.MaxDescriptors()}
}

func (s *accepts) Start(id aem.JobID, spec Spec) error {
	var listeners []*listener
	for _, addr := range spec.(Accept).Listen {
		l := &listener{source: s, job: id, addr: addr}
		if err := l.open(); err != nil {
			closeAll(listeners)
			return err
		}
		listeners = append(listeners, l)
	}
	s.jobs[id] = listeners
	return nil
}

func (s *accepts) Stop(id aem.JobID) {
	closeAll(s.jobs[id])
	delete(s.jobs, id)
}

func (s *accepts) Hold(id aem.JobID) {
	for _, l := range s.jobs[id] {
		l.held = true
		s.env.Poller.Hold(l.watch)
	}
}

func (s *accepts) Resume(id aem.JobID) {
	for _, l := range s.jobs[id] {
		l.held = false
		l.resume()
	}
}

func (s *accepts) Close() {
	for id := range s.jobs {
		s.Stop(id)
	}
}

func closeAll(listeners []*listener) {
	for _, l := range listeners {
		l.close()
	}
}

func (l *listener) open() (err error) {
	if l.addr.Scheme == "unix" {
		l.fd, err = listenUnix(l.addr.Path)
	} else {
		l.fd, err = sys.ListenTCP(l.addr.IP, acceptBacklog)
	}
	if err != nil {
		return fmt.Errorf("listen on %s: %w", l.addr, err)
	}
	if l.watch, err = l.source.env.Poller.Add(l.fd, sys.EPOLLIN, l); err != nil {
		l.unlink()
		sys.Close(l.fd)
		return err
	}
	return nil
}

// listenUnix makes way for itself where a socket lies that nobody listens on: what a killed process left.
func listenUnix(path string) (fd int, err error) {
	fd, err = sys.ListenUnix(path, acceptBacklog)
	if !errors.Is(err, sys.EADDRINUSE) || strings.HasPrefix(path, "@") {
		return fd, err
	}
	info, serr := os.Lstat(path)
	if serr != nil || info.Mode().Type() != os.ModeSocket || sys.Listens(path) {
		return fd, err
	}
	if err := os.Remove(path); err != nil {
		return -1, err
	}
	return sys.ListenUnix(path, acceptBacklog)
}

// close also holds the listener: it may be closed by what it has just detected.
func (l *listener) close() {
	l.held = true
	l.retry.Stop()
	l.source.env.Poller.Remove(l.watch)
	l.unlink()
	sys.Close(l.fd)
	l.fd = -1
}

func (l *listener) unlink() {
	if l.addr.Scheme == "unix" && !strings.HasPrefix(l.addr.Path, "@") {
		os.Remove(l.addr.Path) //nolint:errcheck // somebody else removed it
	}
}

// Ready takes what waits, until the job is held or the batch is full.
func (l *listener) Ready(uint32) {
	for range acceptBatch {
		if l.held {
			return
		}
		conn, peer, err := sys.Accept(l.fd)
		if errors.Is(err, sys.EAGAIN) {
			return
		}
		if err != nil {
			l.pause(err)
			return
		}
		l.detect(conn, peer)
		if conn >= l.source.limit-keptBack && l.fd >= 0 {
			l.pause(errFewDescriptors)
			return
		}
	}
}

var errFewDescriptors = errors.New("few descriptors left")

func (l *listener) detect(conn int, peer sys.Peer) {
	e := l.source.env.Sink.NewEvent("socket.accept")
	e.FD = conn
	local, err := sys.LocalName(conn)
	if err != nil {
		local = peer // the connection is gone already: its handler will read the end of it
	}
	e.Facts = []aem.Fact{{Name: "peer", Value: endName(peer)}, {Name: "local", Value: endName(local)}}
	l.source.env.Sink.Detected(l.job, e)
}

func endName(p sys.Peer) string {
	if p.Unix {
		return "unix:" + strings.Map(printable, p.Path)
	}
	return p.IP.String()
}

// printable keeps what a client may choose as its own name from being more than text: a fact becomes an argument, a
// variable, a line of a log and a line on a terminal.
func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return '?'
}

// pause holds the listener for a while: its clients wait in the kernel, and it never gives up.
func (l *listener) pause(err error) {
	env := l.source.env
	env.Poller.Hold(l.watch)
	env.Sink.Trouble(l.job, fmt.Errorf("accept on %s: %w", l.addr, err))
	env.Alarms.After(&l.retry, acceptRetry, func() {
		env.Sink.Trouble(l.job, nil)
		l.resume()
	})
}

func (l *listener) resume() {
	if l.held || l.retry.Set() {
		return
	}
	if err := l.source.env.Poller.Resume(l.watch); err != nil {
		l.pause(err)
	}
}
