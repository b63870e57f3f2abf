package source

import (
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// waiter is a started job of socket.ready and where it listens.
type waiter struct {
	*desk
	t           *testing.T
	source      *readies
	network, at string
}

func newWaiter(t *testing.T, address string) *waiter {
	t.Helper()
	d, s := newDesk(t, "socket.ready")
	w := &waiter{desk: d, t: t, source: s.(*readies)}
	a, err := ParseAddress(address)
	if err == nil {
		err = s.Start(1, Ready{Listen: []Address{a}})
	}
	if err != nil {
		t.Fatal(err)
	}
	if w.network, w.at = a.Scheme, a.Path; a.scheme().ip {
		local, err := sys.LocalName(w.socket().fd)
		if err != nil {
			t.Fatal(err)
		}
		w.at = local.IP.String()
	}
	return w
}

func (w *waiter) socket() *bound { return w.source.jobs[1][0] }

// take has the handler of an event take what its socket has, and end.
func (w *waiter) take(e detected) {
	w.t.Helper()
	if w.socket().kind.datagrams {
		var b [64]byte
		if n, err := sys.Read(e.FD, b[:]); n <= 0 || err != nil {
			w.t.Errorf("read %d bytes, %v", n, err)
		}
	} else {
		conn, _, err := sys.Accept(e.FD)
		if err != nil {
			w.t.Fatal(err)
		}
		sys.Close(conn)
	}
	w.done(e)
}

func (w *waiter) done(e detected) {
	sys.Close(e.FD)
	e.FD = -1
	e.Origin.Ended(e.Event, &aem.Completion{})
}

func TestReady_R118(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ name, address string }{
		{"tcp", "tcp://127.0.0.1:0"}, {"unix", "unix://" + filepath.Join(dir, "s")}, {"unixpacket", "unixpacket:" + abstract(t)},
		{"udp", "udp://127.0.0.1:0"}, {"unixgram", "unixgram:" + abstract(t)},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWaiter(t, c.address)
			for n := range 3 {
				client := dial(t, w.network, w.at)
				say(t, client, "hello")
				w.events(t, n+1)
				e := w.detected[n]
				local := w.at
				if !w.socket().kind.ip {
					local = "unix:" + w.at
				}
				if got, _ := e.Fact("local"); got != local || e.Type != "socket.ready" {
					t.Errorf("%s: local %q, want %q", e.Type, got, local)
				}
				if flags(t, e.FD, syscall.F_GETFL)&syscall.O_NONBLOCK != 0 {
					t.Error("the socket does not block, which programs do not expect")
				}
				w.quiet(t, 10*time.Millisecond) // it is the handler's
				if n == 1 {
					sys.DoNotBlock(e.FD) //nolint:errcheck // as a handler may
				}
				w.take(e)
				w.quiet(t, 5*time.Millisecond)
			}
		})
	}
}

func TestReadyIsHeldAndGivenAgain(t *testing.T) {
	w := newWaiter(t, "udp://127.0.0.1:0")
	client := dial(t, w.network, w.at)
	w.source.Hold(1)
	say(t, client, "one")
	w.quiet(t, 10*time.Millisecond)
	w.source.Resume(1)
	w.events(t, 1)
	w.source.Hold(1)
	w.source.Resume(1)
	w.quiet(t, 10*time.Millisecond)
	say(t, client, "two")
	w.source.Hold(1)
	w.take(w.detected[0])
	w.quiet(t, 10*time.Millisecond)
	w.source.Resume(1)
	w.events(t, 2)
}

// TestStoppedWhileGiven: the handler keeps what it has.
func TestStoppedWhileGiven(t *testing.T) {
	for name, within := range map[string]bool{"later": false, "inside Detected": true} {
		t.Run(name, func(t *testing.T) {
			w := newWaiter(t, "tcp://127.0.0.1:0")
			if within {
				w.then = func(detected) { w.source.Stop(1) }
			}
			dial(t, w.network, w.at)
			w.events(t, 1)
			w.source.Stop(1)
			w.then = nil
			e := w.detected[0]
			conn, _, err := sys.Accept(e.FD)
			if err != nil {
				t.Fatal(err)
			}
			sys.Close(conn)
			w.done(e)
			if _, err := net.Dial(w.network, w.at); err == nil {
				t.Error("somebody listens still")
			}
			w.quiet(t, 5*time.Millisecond)
		})
	}
}

// TestHandlerThatTakesNothingIsSlowedDown: it would be started for the same datagram for ever.
func TestHandlerThatTakesNothingIsSlowedDown(t *testing.T) {
	for _, address := range []string{"udp://127.0.0.1:0", "tcp://127.0.0.1:0"} {
		w := newWaiter(t, address)
		client := dial(t, w.network, w.at)
		say(t, client, "hello")
		n := 0
		for range patientVain + 1 {
			n++
			w.events(t, n)
			w.done(w.detected[n-1])
		}
		w.quiet(t, vainWait/2)
		for i := range 3 {
			began := time.Now()
			n++
			w.events(t, n)
			if waited, want := time.Since(began), vainWait<<i/3; waited < want {
				t.Errorf("%s: given again after %v, want %v", address, waited, want)
			}
			w.done(w.detected[n-1])
		}
		w.source.Hold(1)
		w.source.Resume(1) // which ends no wait
		w.quiet(t, 20*time.Millisecond)
		n++
		w.events(t, n)
		w.take(w.detected[n-1])
		if w.socket().vain != 0 {
			t.Errorf("%s: one that takes something is held to what it did before", address)
		}
	}
}

// TestHandlerThatTakesOneIsNotSlowedDown: others have come meanwhile.
func TestHandlerThatTakesOneIsNotSlowedDown(t *testing.T) {
	w := newWaiter(t, "udp://127.0.0.1:0")
	client := dial(t, w.network, w.at)
	const all = 3 * patientVain
	for i := range all {
		say(t, client, strings.Repeat("x", i+1))
	}
	for i := range all {
		w.events(t, i+1)
		w.take(w.detected[i])
	}
	if _, waits := w.alarms.Next(); waits {
		t.Error("it is")
	}
}
