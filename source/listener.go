package source

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/internal/timing"
)

// Bounds of accepting.
const (
	acceptBatch = 64                     // connections of one listener in one turn
	acceptRetry = 100 * time.Millisecond // until a listener that found no descriptor or memory tries again
	keptBack    = 64                     // descriptors left for control and for making processes
)

// taker is who gets the connections of a listener.
type taker interface {
	// take owns the connection from here on, and has the guest leave with it. It may hold the listener, or close it.
	take(l *listener, conn int, peer sys.Peer, g *guest)
}

// listener is one listening socket of a job, for the types that accept connections themselves.
type listener struct {
	socket
	env   Env
	job   aem.JobID
	taker taker
	gate  *gate
	watch Watch
	limit int  // of descriptors
	held  bool // by the job
	retry timing.Alarm
}

// listenAll begins to accept on sockets, which it closes if it cannot; limit is how many descriptors there may be.
func listenAll(env Env, limit int, job aem.JobID, t taker, d Door, sockets []socket) (all []*listener, err error) {
	g := newGate(env, d)
	for i, s := range sockets {
		l := &listener{socket: s, env: env, job: job, taker: t, gate: g, limit: limit}
		if s.kind.datagrams {
			err = fmt.Errorf("listen on %s: it has datagrams, not connections", s.addr)
		} else {
			l.watch, err = env.Poller.Add(l.fd, sys.EPOLLIN, l)
		}
		if err != nil {
			closeAll(all)
			for _, s := range sockets[i:] {
				s.close()
			}
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

func holdAll(listeners []*listener) {
	for _, l := range listeners {
		l.held = true
		l.env.Poller.Hold(l.watch)
	}
}

func resumeAll(listeners []*listener) {
	for _, l := range listeners {
		l.held = false
		l.resume()
	}
}

func closeAll(listeners []*listener) {
	for _, l := range listeners {
		l.close()
	}
}

// close also holds the listener: it may be closed by what it has just detected.
func (l *listener) close() {
	l.held = true
	l.retry.Stop()
	l.gate.refused.stop()
	l.env.Poller.Remove(l.watch)
	l.socket.close()
	l.fd = -1
}

// Ready takes what waits, until the job is held or the batch is full.
func (l *listener) Ready(uint32) {
	for range acceptBatch {
		if l.held {
			return
		}
		if wait := l.gate.wait(); wait > 0 {
			l.rest(wait)
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
		if g, ok := l.gate.admit(conn, peer); ok {
			l.taker.take(l, conn, peer, g)
		} else {
			sys.Close(conn)
		}
		if conn >= l.limit-keptBack && l.fd >= 0 {
			l.pause(errFewDescriptors)
			return
		}
	}
}

var errFewDescriptors = errors.New("few descriptors left")

// pause holds the listener for a while: its clients wait in the kernel, and it never gives up.
func (l *listener) pause(err error) {
	env := l.env
	env.Poller.Hold(l.watch)
	env.Sink.Trouble(l.job, fmt.Errorf("accept on %s: %w", l.addr, err))
	env.Alarms.After(&l.retry, acceptRetry, func() {
		env.Sink.Trouble(l.job, nil)
		l.resume()
	})
}

// rest lets clients wait in the kernel until the next of them may come.
func (l *listener) rest(wait time.Duration) {
	l.env.Poller.Hold(l.watch)
	l.env.Alarms.After(&l.retry, wait, l.resume)
}

func (l *listener) resume() {
	if l.held || l.retry.Set() {
		return
	}
	if err := l.env.Poller.Resume(l.watch); err != nil {
		l.pause(err)
	}
}

// ends are the facts peer and local of a connection.
func ends(conn int, peer sys.Peer) []aem.Fact {
	local, err := sys.LocalName(conn)
	if err != nil {
		local = peer // the connection is gone already: whoever reads from it will see the end
	}
	return []aem.Fact{{Name: "peer", Value: endName(peer)}, {Name: "local", Value: endName(local)}}
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
