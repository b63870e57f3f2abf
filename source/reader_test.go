package source

import (
	"errors"
	"io"
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// reader is a started job of socket.read and where it listens.
type reader struct {
	*desk
	t       *testing.T
	source  *reads
	network string // in the words of package net
	at      string
	taken   int // events that next returned
}

const readJob = 7

func newReader(t *testing.T, address string, spec Read) *reader {
	t.Helper()
	d, s := newDesk(t, "socket.read")
	r := &reader{desk: d, t: t, source: s.(*reads)}
	a, err := ParseAddress(address)
	if err != nil {
		t.Fatal(err)
	}
	spec.Listen = []Address{a}
	if spec.Frame == "" {
		spec.Frame = Chunk
		if a.Packets() {
			spec.Frame = Datagram
		}
	}
	if spec.MaxBytes == 0 {
		spec.MaxBytes = 64 << 10
	}
	if spec.Connections == 0 {
		spec.Connections = 1000
	}
	if err := errors.Join(Check(spec), s.Start(readJob, spec)); err != nil {
		t.Fatal(err)
	}
	if r.network, r.at = a.Scheme, a.Path; a.scheme().ip {
		fd := 0
		if job := r.job(); a.scheme().datagrams {
			fd = job.ports[0].fd
		} else {
			fd = job.listeners[0].fd
		}
		local, err := sys.LocalName(fd)
		if err != nil {
			t.Fatal(err)
		}
		r.at = local.IP.String()
	}
	return r
}

func (r *reader) job() *reading { return r.source.jobs[readJob] }

// client connects, from a name of its own where a reply to a datagram needs one.
func (r *reader) client() net.Conn {
	r.t.Helper()
	if r.network != "unixgram" {
		return dial(r.t, r.network, r.at)
	}
	own := &net.UnixAddr{Name: filepath.Join(r.t.TempDir(), "c"), Net: r.network}
	c, err := net.DialUnix(r.network, own, &net.UnixAddr{Name: r.at, Net: r.network})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	return c
}

// next turns until one event more is detected, and no other, and returns it.
func (r *reader) next() detected {
	r.t.Helper()
	r.taken++
	r.events(r.t, r.taken)
	return r.detected[r.taken-1]
}

// answer ends an event well.
func (e detected) answer(reply string) { e.end(aem.Completion{Reply: []byte(reply)}) }

func (e detected) end(c aem.Completion) { e.Origin.Ended(e.Event, &c) }

// gets reads from a client what it has to be, while the loop turns; "" is the end.
func (r *reader) gets(c net.Conn, want string) {
	r.t.Helper()
	got := make(chan string, 1)
	c.SetReadDeadline(time.Now().Add(patience)) //nolint:errcheck // then it takes longer to fail
	go func() {
		b := make([]byte, max(1, len(want)))
		n, err := io.ReadAtLeast(c, b, len(b))
		if err != nil && err != io.EOF && !errors.Is(err, syscall.ECONNRESET) && n == 0 { // a reset is an end, too
			b, n = []byte(err.Error()), len(err.Error())
		}
		got <- string(b[:n])
	}()
	for {
		select {
		case text := <-got:
			if text != want {
				r.t.Errorf("the client got %q, want %q", text, want)
			}
			return
		default:
			r.turn(r.t, time.Millisecond)
		}
	}
}

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}
