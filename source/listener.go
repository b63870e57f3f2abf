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

// taker is who gets the connections of a listener.
type taker interface {
	// take owns the connection from here on. It may hold the listener, or close it.
	take(l *listener, conn int, peer sys.Peer)
}

// listener is one listening socket of a job, for the types that accept connections themselves.
type listener struct {
	env   Env
	job   aem.JobID
	taker taker
	addr  Address
	fd    int
	watch Watch
	limit int  // of descriptors
	held  bool // by the job
	retry timing.Alarm
}

// listenAll opens a listener for each address, or none; limit is how many descriptors there may be.
func listenAll(env Env, limit int, job aem.JobID, t taker, addresses []Address) (all []*listener, err error) {
	for _, addr := range addresses {
		l := &listener{env: env, job: job, taker: t, addr: addr, limit: limit}
		if err := l.open(); err != nil {
			closeAll(all)
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

func (l *listener) open() (err error) {
	if l.fd, err = bind(l.addr); err != nil {
		return err
	}
	if l.watch, err = l.env.Poller.Add(l.fd, sys.EPOLLIN, l); err != nil {
		unbind(l.addr, l.fd)
	}
	return err
}

// bind makes the socket of an address: one that listens, or that receives datagrams.
func bind(addr Address) (fd int, err error) {
	switch kind := addr.scheme(); {
	case !kind.ip:
		fd, err = bindUnix(addr, kind.unix)
	case kind.datagrams:
		fd, err = sys.BindUDP(addr.IP)
	default:
		fd, err = sys.ListenTCP(addr.IP, acceptBacklog)
	}
	if err != nil {
		return -1, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return fd, nil
}

// bindUnix makes way for itself where a socket lies that nobody has: what a killed process left.
func bindUnix(addr Address, kind sys.UnixKind) (fd int, err error) {
	fd, err = sys.ListenUnix(addr.Path, kind, acceptBacklog)
	if !errors.Is(err, sys.EADDRINUSE) || addr.file() == "" {
		return fd, err
	}
	info, serr := os.Lstat(addr.Path)
	if serr != nil || info.Mode().Type() != os.ModeSocket || sys.Listens(addr.Path, kind) {
		return fd, err
	}
	if err := os.Remove(addr.Path); err != nil {
		return -1, err
	}
	return sys.ListenUnix(addr.Path, kind, acceptBacklog)
}

// unbind ends what bind made.
func unbind(addr Address, fd int) {
	if file := addr.file(); file != "" {
		os.Remove(file) //nolint:errcheck // somebody else removed it
	}
	sys.Close(fd)
}

// close also holds the listener: it may be closed by what it has just detected.
func (l *listener) close() {
	l.held = true
	l.retry.Stop()
	l.env.Poller.Remove(l.watch)
	unbind(l.addr, l.fd)
	l.fd = -1
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
		l.taker.take(l, conn, peer)
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
