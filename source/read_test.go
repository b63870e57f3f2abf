package source

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// TestRead_R115_R157 has somebody say something on each kind of socket, and hear of it.
func TestRead_R115_R157(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ name, address string }{
		{"tcp", "tcp://127.0.0.1:0"},
		{"tcp6", "tcp://[::1]:0"},
		{"unix", "unix://" + filepath.Join(dir, "s")},
		{"unixpacket", "unixpacket:" + abstract(t)},
		{"udp", "udp://127.0.0.1:0"},
		{"udp6", "udp://[::1]:0"},
		{"unixgram", "unixgram://" + filepath.Join(dir, "g")},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newReader(t, c.address, Read{})
			client := r.client()
			for _, text := range []string{"hello", "world"} {
				say(t, client, text)
				e := r.next()
				if e.job != readJob || e.Type != "socket.read" || string(e.Data) != text || e.FD != -1 || e.Count != 1 {
					t.Errorf("event %+v", e.Event)
				}
				peer, local := client.LocalAddr().String(), client.RemoteAddr().String()
				if !strings.Contains(r.network, "p") { // tcp, udp, and unixpacket, which has no name
					peer, local = "unix:"+peer, "unix:"+local
				}
				if r.network == "unix" || r.network == "unixpacket" {
					peer, local = "unix:", "unix:"+r.at
				}
				connection := "1"
				if r.network == "udp" || r.network == "unixgram" {
					connection = "0"
				}
				for name, want := range map[string]string{"peer": peer, "local": local, "connection": connection} {
					if got, _ := e.Fact(name); got != want {
						t.Errorf("%s %q, want %q", name, got, want)
					}
				}
				e.answer(strings.ToUpper(text))
				r.gets(client, strings.ToUpper(text))
			}
			if r.network == "udp" || r.network == "unixgram" {
				return
			}
			client.Close()
			r.until(t, "closed", func() bool { return len(r.job().conns) == 0 })
		})
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("sockets are left: %v", left)
	}
}

// TestHeldJobReadsNothing_R101 also shows that a descriptor that stays readable does not keep the loop awake.
func TestHeldJobReadsNothing_R101(t *testing.T) {
	r := newReader(t, "tcp://127.0.0.1:0", Read{Frame: Line})
	clients := []net.Conn{r.client(), r.client(), r.client()}
	r.until(t, "connected", func() bool { return len(r.job().conns) == len(clients) })
	say(t, clients[0], "a\nb\n")
	first := r.next()
	r.source.Hold(readJob)
	first.answer("") // b is there, but not detected
	for _, c := range clients[1:] {
		say(t, c, "c\n")
	}
	r.quiet(t, 20*time.Millisecond)
	began := time.Now()
	if err := r.poller.Wait(50 * time.Millisecond); err != nil || time.Since(began) < 40*time.Millisecond {
		t.Errorf("the loop is kept awake: it slept %v, %v", time.Since(began), err)
	}
	r.then = func(detected) { r.source.Hold(readJob) }
	got := ""
	for range 3 {
		r.source.Resume(readJob)
		e := r.next()
		got += string(e.Data)
		e.answer("")
	}
	if got != "b\nc\nc\n" {
		t.Errorf("detected %q", got)
	}
}

// TestStopLetsFinish: what is under way is answered, and nothing else is read.
func TestStopLetsFinish(t *testing.T) {
	r := newReader(t, "tcp://127.0.0.1:0", Read{Frame: Line})
	busy, idle := r.client(), r.client()
	say(t, busy, "one\ntwo\n")
	e := r.next()
	r.until(t, "connected", func() bool { return len(r.job().conns) == 2 })
	r.source.Stop(readJob)
	r.source.Stop(readJob)
	r.gets(idle, "")
	if _, err := net.Dial(r.network, r.at); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after the stop: %v", err)
	}
	if r.source.Settled() {
		t.Error("it is settled")
	}
	e.answer("1\n")
	r.gets(busy, "1\n")
	r.gets(busy, "")
	busy.Close()
	r.until(t, "settled", r.source.Settled)
	r.quiet(t, 10*time.Millisecond)
}

func TestStoppedInsideDetected(t *testing.T) {
	for _, address := range []string{"tcp://127.0.0.1:0", "udp://127.0.0.1:0"} {
		r := newReader(t, address, Read{})
		r.then = func(detected) { r.source.Stop(readJob) } // once = true
		client := r.client()
		for range 3 {
			say(t, client, "x")
		}
		e := r.next()
		r.quiet(t, 10*time.Millisecond)
		e.answer("y")
		r.gets(client, "y")
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	r := newReader(t, "tcp://127.0.0.1:0", Read{Connections: 2})
	clients := []net.Conn{r.client(), r.client(), r.client()}
	r.until(t, "connected", func() bool { return len(r.job().conns) == 2 })
	say(t, clients[2], "x")
	r.quiet(t, 20*time.Millisecond)
	r.source.Hold(readJob)
	r.source.Resume(readJob)
	r.quiet(t, 20*time.Millisecond)
	clients[0].Close()
	if e := r.next(); string(e.Data) != "x" {
		t.Errorf("%q", e.Data)
	}
}

// TestStaleSocketOfEachKindIsReplaced, and one that somebody has is not.
func TestStaleSocketOfEachKindIsReplaced(t *testing.T) {
	for scheme, kind := range map[string]sys.UnixKind{"unix": sys.UnixStream, "unixpacket": sys.UnixPacket, "unixgram": sys.UnixDatagram} {
		path := filepath.Join(t.TempDir(), "s")
		fd, err := sys.BindUnix(path, kind, 0o600)
		if err == nil && kind != sys.UnixDatagram {
			err = sys.Listen(fd, 1)
		}
		if err != nil {
			t.Fatal(err)
		}
		_, s := newDesk(t, "socket.read")
		spec := Read{Listen: []Address{{Scheme: scheme, Path: path}}, Frame: Datagram, MaxBytes: 1, Connections: 1}
		if scheme == "unix" {
			spec.Frame = Chunk
		}
		if err := s.Start(1, spec); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("%s: a socket that somebody has: %v", scheme, err)
		}
		sys.Close(fd)
		if err := s.Start(1, spec); err != nil {
			t.Errorf("%s: a socket that nobody has: %v", scheme, err)
		}
	}
}
