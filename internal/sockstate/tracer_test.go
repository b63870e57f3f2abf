package sockstate

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/internal/aemtest"
)

func TestMain(m *testing.M) {
	if os.Getenv("AEM_TEST_CHECK") != "" {
		if err := Check(); err != nil {
			os.Stdout.WriteString(err.Error()) //nolint:errcheck // the test reads it
		}
		os.Exit(0)
	}
	aemtest.NoLeaks(m)
}

// patience is how long a test waits for what must come.
var patience = aemtest.Slow(20 * time.Second)

func open(t *testing.T, ports ...uint16) *Tracer {
	t.Helper()
	aemtest.Require(t, aemtest.Root)
	tracer, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tracer.Close)
	if err := tracer.Want(ports); err != nil {
		t.Fatal(err)
	}
	return tracer
}

// until reads until ok, and returns what was read.
func until(t *testing.T, tracer *Tracer, ok func([]Change) bool) (changes []Change) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(changes); {
		var lost uint64
		var err error
		if changes, lost, err = tracer.Read(changes, 1000); err != nil || lost > 0 {
			t.Fatalf("%d lost, %v", lost, err)
		}
		if time.Now().After(end) {
			t.Fatalf("changes %+v", changes)
		}
		time.Sleep(time.Millisecond)
	}
	return changes
}

// port is one that somebody listened on a moment ago.
func port(t *testing.T, address string) (net.Listener, netip.AddrPort) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, l.Addr().(*net.TCPAddr).AddrPort()
}

// converse makes a connection that the server ends first, and waits until both ends are gone. It returns the client's
// address.
func converse(t *testing.T, l net.Listener) netip.AddrPort {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("something came")
	}
	c.Close()
	return c.LocalAddr().(*net.TCPAddr).AddrPort()
}

// TestChanges_R117 has the whole life of a connection told, of both its ends.
func TestChanges_R117(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(address, func(t *testing.T) {
			l, at := port(t, address)
			tracer := open(t, at.Port())
			began := time.Now()
			client := converse(t, l)
			changes := until(t, tracer, func(c []Change) bool { return len(c) >= 10 })
			lives := map[netip.AddrPort][]string{}
			sockets := map[uint64]bool{}
			for _, c := range changes {
				if c.Peer != at && c.Local != at || c.Netns == 0 || time.Since(began) > time.Minute {
					t.Errorf("change %+v", c)
				}
				sockets[c.Socket] = true
				lives[c.Peer] = append(lives[c.Peer], c.Old.String()+">"+c.New.String())
			}
			if len(sockets) != 2 {
				t.Errorf("%d sockets", len(sockets))
			}
			for peer, want := range map[netip.AddrPort]string{
				at:     "CLOSE>SYN_SENT SYN_SENT>ESTABLISHED ESTABLISHED>CLOSE_WAIT CLOSE_WAIT>LAST_ACK LAST_ACK>CLOSE",
				client: "LISTEN>SYN_RECV SYN_RECV>ESTABLISHED ESTABLISHED>FIN_WAIT1 FIN_WAIT1>FIN_WAIT2 FIN_WAIT2>CLOSE",
			} {
				if got := strings.Join(lives[peer], " "); got != want {
					t.Errorf("with peer %v: %s\nwant %s", peer, got, want)
				}
			}
		})
	}
}

// TestOnlyWantedPortsAreTold: of others nothing leaves the kernel.
func TestOnlyWantedPortsAreTold(t *testing.T) {
	l, at := port(t, "127.0.0.1:0")
	other, otherAt := port(t, "127.0.0.1:0")
	tracer := open(t, at.Port())
	converse(t, other)
	converse(t, l)
	for _, c := range until(t, tracer, func(c []Change) bool { return len(c) >= 10 }) {
		if c.Local != at && c.Peer != at {
			t.Errorf("change %+v", c)
		}
	}
	if err := tracer.Want([]uint16{otherAt.Port()}); err != nil {
		t.Fatal(err)
	}
	converse(t, l)
	converse(t, other)
	for _, c := range until(t, tracer, func(c []Change) bool { return len(c) >= 10 }) {
		if c.Local != otherAt && c.Peer != otherAt {
			t.Errorf("after another wish: %+v", c)
		}
	}
	for _, all := range [][]uint16{nil, slices.Repeat([]uint16{1}, maxPorts+1)} {
		if err := tracer.Want(all); err != nil {
			t.Fatal(err)
		}
		converse(t, l)
		until(t, tracer, func(c []Change) bool {
			return slices.ContainsFunc(c, func(c Change) bool { return c.Local == at && c.New == 1 })
		})
	}
}

// TestLossIsCounted has more changes come than the ring holds: what is read and what is lost are all there were.
func TestLossIsCounted(t *testing.T) {
	l, at := port(t, "127.0.0.1:0")
	tracer := open(t, at.Port())
	const connections, each = 2000, 10
	for range connections {
		converse(t, l)
	}
	var all []Change
	var lost uint64
	for end := time.Now().Add(patience); uint64(len(all))+lost < connections*each && time.Now().Before(end); time.Sleep(time.Millisecond) {
		changes, more, err := tracer.Read(nil, 100)
		if err != nil || len(changes) > 100 {
			t.Fatalf("%d at once, %v", len(changes), err)
		}
		all, lost = append(all, changes...), lost+more
	}
	if lost == 0 || uint64(len(all))+lost != connections*each {
		t.Errorf("%d told and %d lost of %d", len(all), lost, connections*each)
	}
}

// TestRefusedWithoutRoot: whoever may not is told what is missing.
func TestRefusedWithoutRoot(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	dir, err := os.MkdirTemp("", "aem-sockstate-") // which others may enter, unlike the test's own
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	text, rerr := os.ReadFile(self)
	if err != nil || rerr != nil || os.WriteFile(dir+"/self", text, 0o755) != nil {
		t.Fatal(err, rerr)
	}
	cmd := exec.Command(dir + "/self")
	cmd.Env = append(os.Environ(), "AEM_TEST_CHECK=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.Output()
	if err != nil || !strings.Contains(string(out), "capabilities BPF and PERFMON are missing") {
		t.Errorf("%s, %v", out, err)
	}
}

func TestStateNames(t *testing.T) {
	for s, want := range map[State]string{1: "ESTABLISHED", 12: "NEW_SYN_RECV", 0: "0", 99: "99"} {
		if s.String() != want {
			t.Errorf("state %d is %s", s, s)
		}
	}
	if _, ok := parse(make([]byte, recordBytes-1)); ok {
		t.Error("half a record is read")
	}
}
