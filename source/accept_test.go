package source

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// abstract is an address of the test's own in the abstract namespace.
func abstract(t *testing.T) string {
	return fmt.Sprintf("@aem-source-%d-%s", os.Getpid(), t.Name())
}

// listen starts a job on an address and returns where it really listens, in the words of package net.
func listen(t *testing.T, s Source, id aem.JobID, address string) (network, at string) {
	t.Helper()
	a, err := ParseAddress(address)
	if err == nil {
		err = s.Start(id, Accept{Listen: []Address{a}})
	}
	if err != nil {
		t.Fatal(err)
	}
	if a.Scheme == "unix" {
		return "unix", a.Path
	}
	local, err := sys.LocalName(s.(*accepts).jobs[id][0].fd)
	if err != nil {
		t.Fatal(err)
	}
	return "tcp", local.IP.String()
}

// dial connects a client that lives as long as the test.
func dial(t *testing.T, network, at string) net.Conn {
	t.Helper()
	c, err := net.Dial(network, at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// greet has a client say something and reads it from the connection that was detected for it.
func greet(t *testing.T, c net.Conn, conn int) {
	t.Helper()
	if _, err := io.WriteString(c, "hello"); err != nil {
		t.Fatal(err)
	}
	var b [16]byte
	if n, err := sys.Read(conn, b[:]); string(b[:max(0, n)]) != "hello" {
		t.Errorf("read %q, %v", b[:max(0, n)], err)
	}
}

func flags(t *testing.T, fd, get int) int {
	t.Helper()
	v, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), uintptr(get), 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	return int(v)
}

func TestAccept_R028(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for _, c := range []struct{ name, address, host string }{
		{"tcp", "tcp://127.0.0.1:0", ""},
		{"tcp6", "tcp://[::1]:0", ""},
		{"tcp6 for all, by IPv4", "tcp://[::]:0", "127.0.0.1"},
		{"unix", "unix://" + path, ""},
		{"abstract", "unix:" + abstract(t), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, s := newDesk(t, "socket.accept")
			network, at := listen(t, s, 7, c.address)
			if c.host != "" {
				_, port, _ := net.SplitHostPort(at)
				at = net.JoinHostPort(c.host, port)
			}
			client := dial(t, network, at)
			d.events(t, 1)
			e := d.detected[0]
			if e.job != 7 || e.Type != "socket.accept" || e.Count != 1 || len(e.Data) != 0 {
				t.Errorf("event %+v", e)
			}
			peer, local := client.LocalAddr().String(), client.RemoteAddr().String()
			if network == "unix" {
				peer, local = "unix:", "unix:"+at // the client has no name
			}
			if want := []aem.Fact{{Name: "peer", Value: peer}, {Name: "local", Value: local}}; fmt.Sprint(e.Facts) != fmt.Sprint(want) {
				t.Errorf("facts %v, want %v", e.Facts, want)
			}
			if flags(t, e.FD, syscall.F_GETFL)&syscall.O_NONBLOCK != 0 {
				t.Error("the connection does not block, which programs do not expect")
			}
			if flags(t, e.FD, syscall.F_GETFD)&syscall.FD_CLOEXEC == 0 {
				t.Error("the connection is inherited by programs that are not given it")
			}
			greet(t, client, e.FD)
		})
	}
}

func TestAcceptOnSeveralAddresses(t *testing.T) {
	d, s := newDesk(t, "socket.accept")
	var addresses []Address
	for i := range 3 {
		addresses = append(addresses, Address{Scheme: "unix", Path: fmt.Sprintf("%s-%d", abstract(t), i)})
	}
	if err := s.Start(1, Accept{Listen: addresses}); err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		dial(t, "unix", a.Path)
	}
	d.events(t, len(addresses))
	s.Stop(1)
	for _, a := range addresses {
		if _, err := net.Dial("unix", a.Path); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s after the stop: %v", a.Path, err)
		}
	}
}

// TestFailedStartLeavesNothing has the second of three addresses taken.
func TestFailedStartLeavesNothing(t *testing.T) {
	d, s := newDesk(t, "socket.accept")
	path := filepath.Join(t.TempDir(), "first")
	taken := Address{Scheme: "unix", Path: abstract(t)}
	if err := s.Start(1, Accept{Listen: []Address{taken}}); err != nil {
		t.Fatal(err)
	}
	err := s.Start(2, Accept{Listen: []Address{{Scheme: "unix", Path: path}, taken, {Scheme: "unix", Path: abstract(t) + "-third"}}})
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), taken.String()) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the first address is left: %v", err)
	}
	dial(t, "unix", taken.Path)
	d.events(t, 1)
	if d.detected[0].job != 1 {
		t.Errorf("detected for job %v", d.detected[0].job)
	}
}

// TestHeldListenerKeepsItsClients_R101: they wait in the kernel, where they can be seen, and come in their order.
func TestHeldListenerKeepsItsClients_R101(t *testing.T) {
	d, s := newDesk(t, "socket.accept")
	network, at := listen(t, s, 1, "tcp://127.0.0.1:0")
	s.Hold(1)
	var clients []net.Conn
	for range 5 {
		clients = append(clients, dial(t, network, at))
	}
	d.turn(t, 0)
	if len(d.detected) != 0 {
		t.Fatalf("%d were detected", len(d.detected))
	}
	s.Resume(1)
	d.events(t, len(clients))
	for i, e := range d.detected {
		if peer, _ := e.Fact("peer"); peer != clients[i].LocalAddr().String() {
			t.Errorf("event %d is of %s, want %s", i, peer, clients[i].LocalAddr())
		}
		greet(t, clients[i], e.FD)
	}
}

func TestListenerHeldInsideDetectedTakesNoMore_R101(t *testing.T) {
	d, s := newDesk(t, "socket.accept")
	network, at := listen(t, s, 1, "tcp://127.0.0.1:0")
	for range 3 {
		dial(t, network, at)
	}
	d.then = func(detected) { s.Hold(1) }
	for n := 1; n <= 3; n++ {
		d.events(t, n)
		d.turn(t, 0)
		if len(d.detected) != n {
			t.Fatalf("%d detected, want %d", len(d.detected), n)
		}
		s.Resume(1)
	}
}

func TestListenerStoppedInsideDetectedIsClosed(t *testing.T) {
	for name, stop := range map[string]func(Source){
		"stop":  func(s Source) { s.Stop(1) },
		"twice": func(s Source) { s.Stop(1); s.Stop(1) },
		"close": Source.Close,
	} {
		t.Run(name, func(t *testing.T) {
			d, s := newDesk(t, "socket.accept")
			path := filepath.Join(t.TempDir(), "s")
			network, at := listen(t, s, 1, "unix://"+path)
			for range 3 {
				dial(t, network, at)
			}
			d.then = func(detected) { stop(s) }
			d.events(t, 1)
			d.turn(t, 0)
			if len(d.detected) != 1 {
				t.Errorf("%d detected", len(d.detected))
			}
			if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the socket is left: %v", err)
			}
			s.Hold(1)
			s.Resume(1)
		})
	}
}

// TestAcceptBatchIsBounded_R031 has more clients wait than one listener takes in a turn.
func TestAcceptBatchIsBounded_R031(t *testing.T) {
	d, s := newDesk(t, "socket.accept")
	network, at := listen(t, s, 1, "unix:"+abstract(t))
	const clients = acceptBatch + 5
	for range clients {
		dial(t, network, at)
	}
	d.turn(t, 0)
	if len(d.detected) != acceptBatch {
		t.Errorf("one turn took %d, want %d", len(d.detected), acceptBatch)
	}
	d.turn(t, 0)
	if len(d.detected) != clients {
		t.Errorf("two turns took %d, want %d", len(d.detected), clients)
	}
}

// TestPeerNameIsText: a client chooses its own name, and the name becomes an argument, a variable and a line of a log.
func TestPeerNameIsText(t *testing.T) {
	d, s := newDesk(t, "socket.accept")
	network, at := listen(t, s, 1, "unix:"+abstract(t))
	for _, c := range []struct{ name, want string }{
		{"plain", "plain"},
		{"two words", "two words"},
		{"héé", "héé"},
		{"a\nb\x1b[2J\x7f", "a?b?[2J?"},
		{"a\u009bb\u2028c\u202ed", "a?b?c?d"},
		{"a\xffb", "a\uFFFDb"},
	} {
		d.detected = nil
		mark := fmt.Sprintf("@aem-peer-%d-", os.Getpid())
		client, err := net.DialUnix(network, &net.UnixAddr{Name: mark + c.name}, &net.UnixAddr{Name: at})
		if err != nil {
			t.Fatal(err)
		}
		d.events(t, 1)
		if peer, _ := d.detected[0].Fact("peer"); peer != "unix:"+mark+c.want {
			t.Errorf("%q is told as %q, want %q", c.name, peer, c.want)
		}
		d.close()
		client.Close()
	}
}

// TestUnixPathThatIsTaken: what a killed process left makes way; who listens, and what is no socket, does not.
func TestUnixPathThatIsTaken(t *testing.T) {
	for _, c := range []struct {
		name string
		by   func(t *testing.T, path string)
		free bool
	}{
		{"nobody", func(*testing.T, string) {}, true},
		{"a dead socket", func(t *testing.T, path string) {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
			if err != nil {
				t.Fatal(err)
			}
			l.SetUnlinkOnClose(false)
			l.Close()
		}, true},
		{"a listener", func(t *testing.T, path string) {
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		}, false},
		{"a file", func(t *testing.T, path string) { writeFile(t, path) }, false},
		{"a link to a file", func(t *testing.T, path string) {
			writeFile(t, path+".target")
			if err := os.Symlink(path+".target", path); err != nil {
				t.Fatal(err)
			}
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, s := newDesk(t, "socket.accept")
			path := filepath.Join(t.TempDir(), "s")
			c.by(t, path)
			before, _ := os.Lstat(path)
			err := s.Start(1, Accept{Listen: []Address{{Scheme: "unix", Path: path}}})
			if c.free {
				if err != nil {
					t.Fatal(err)
				}
				dial(t, "unix", path)
				d.events(t, 1)
				return
			}
			after, _ := os.Lstat(path)
			if !errors.Is(err, syscall.EADDRINUSE) || !os.SameFile(before, after) {
				t.Errorf("error %v, the same file is there: %t", err, os.SameFile(before, after))
			}
		})
	}
}

func writeFile(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestClientThatIsGoneAlready is detected all the same: its handler reads the end of it.
func TestClientThatIsGoneAlready(t *testing.T) {
	d, s := newDesk(t, "socket.accept")
	network, at := listen(t, s, 1, "tcp://127.0.0.1:0")
	client := dial(t, network, at).(*net.TCPConn)
	client.SetLinger(0) // closing it resets the connection
	client.Close()
	next := dial(t, network, at)
	d.events(t, 2)
	if n, err := sys.Read(d.detected[0].FD, make([]byte, 1)); n > 0 {
		t.Errorf("read %d bytes, %v", n, err)
	}
	greet(t, next, d.detected[1].FD)
}
