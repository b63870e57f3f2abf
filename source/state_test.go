package source

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/sockstate"
)

// state is a state by its name.
func state(t *testing.T, name string) sockstate.State {
	t.Helper()
	for i, s := range sockstate.States {
		if s == name {
			return sockstate.State(i)
		}
	}
	t.Fatalf("no state %s", name)
	return 0
}

// connection makes one that the client ends first, and returns the ports of server and client.
func connection(t *testing.T) (server, client uint16) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return connectionTo(t, l)
}

func connectionTo(t *testing.T, l net.Listener) (server, client uint16) {
	t.Helper()
	c := dial(t, "tcp", l.Addr().String())
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	s.Read(make([]byte, 1)) //nolint:errcheck // the end
	s.Close()
	return l.Addr().(*net.TCPAddr).AddrPort().Port(), c.LocalAddr().(*net.TCPAddr).AddrPort().Port()
}

// TestState_R117_R181 has a job hear of every change of the sockets of one port, and of no other.
func TestState_R117_R181(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	d, s := newDesk(t, "socket.state")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).AddrPort().Port()
	if err := s.Start(1, State{Ports: []uint16{port}}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	connection(t)
	connectionTo(t, l)
	d.events(t, 10)
	var changes []string
	for _, e := range d.detected {
		if !strings.HasSuffix(fact(e, "local"), l.Addr().String()) && fact(e, "peer") != l.Addr().String() || fact(e, "lost") != "0" ||
			fact(e, "socket") == "0" || fact(e, "netns") == "0" {
			t.Errorf("facts %v", e.Facts)
		}
		if at, err := time.Parse(time.RFC3339Nano, fact(e, "at")); err != nil || at.Before(began.Add(-time.Second)) || at.After(e.Time) {
			t.Errorf("it changed at %v, which was detected at %v, %v", at, e.Time, err)
		}
		if fact(e, "peer") == l.Addr().String() {
			changes = append(changes, fact(e, "old")+">"+fact(e, "new"))
		}
	}
	if got := strings.Join(changes, " "); got != "CLOSE>SYN_SENT SYN_SENT>ESTABLISHED ESTABLISHED>FIN_WAIT1 FIN_WAIT1>FIN_WAIT2 FIN_WAIT2>CLOSE" {
		t.Errorf("the client's: %s", got)
	}
	s.Stop(1)
	connectionTo(t, l)
	if s.(*states).tracer != nil {
		t.Error("without a job the program is still there")
	}
}

func TestStateMeets(t *testing.T) {
	change := sockstate.Change{
		Local: netip.MustParseAddrPort("10.0.0.1:80"), Peer: netip.MustParseAddrPort("192.168.0.7:5000"), Old: 2, New: 1,
	}
	for _, c := range []struct {
		name string
		spec State
		want bool
	}{
		{"all", State{}, true},
		{"the local port", State{Ports: []uint16{1, 80}}, true},
		{"the peer's port", State{Ports: []uint16{5000}}, true},
		{"another port", State{Ports: []uint16{81}}, false},
		{"the local network", State{Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, true},
		{"the peer", State{Addresses: []netip.Prefix{netip.MustParsePrefix("192.168.0.7/32")}}, true},
		{"another network", State{Addresses: []netip.Prefix{netip.MustParsePrefix("fd00::/8")}}, false},
		{"the state", State{To: []sockstate.State{state(t, "ESTABLISHED")}}, true},
		{"another state", State{To: []sockstate.State{state(t, "CLOSE")}}, false},
		{"the port and another state", State{Ports: []uint16{80}, To: []sockstate.State{state(t, "CLOSE")}}, false},
	} {
		if c.spec.meets(&change) != c.want {
			t.Errorf("%s: want %t", c.name, c.want)
		}
	}
	if Check(State{Ports: []uint16{0}}) == nil || Check(State{}) != nil || Check(Close{}) == nil || Check(Close{"a/b"}) != nil {
		t.Error("a wrong spec is taken, or a right one is not")
	}
}

// TestStatesOfSeveralJobs_R101: each hears what it asks for, one of them held.
func TestStatesOfSeveralJobs_R101(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	d, s := newDesk(t, "socket.state")
	one, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	port := one.Addr().(*net.TCPAddr).AddrPort().Port()
	begins := []sockstate.State{state(t, "SYN_SENT")}
	for id, spec := range []State{{Ports: []uint16{port}, To: begins}, {To: begins}, {Ports: []uint16{port}, To: begins}} {
		if err := s.Start(aem.JobID(id+1), spec); err != nil {
			t.Fatal(err)
		}
	}
	s.Hold(3)
	connectionTo(t, one)
	other, _ := connection(t)
	heard := func(job aem.JobID, port uint16) (n int) {
		for _, e := range d.detected {
			if e.job == job && strings.HasSuffix(fact(e, "peer"), ":"+strconv.Itoa(int(port))) {
				n++
			}
		}
		return n
	}
	d.until(t, "heard", func() bool { return heard(1, port) == 1 && heard(2, port) == 1 && heard(2, other) == 1 })
	kept := s.(interface{ Kept(aem.JobID) uint64 }).Kept(3)
	s.Resume(3)
	if kept != 1 || heard(3, port) != 1 || heard(1, other)+heard(3, other) != 0 {
		t.Errorf("%d kept; %v", kept, d.detected)
	}
	s.Stop(2)
	more, _ := connection(t)
	connectionTo(t, one)
	d.until(t, "heard", func() bool { return heard(1, port) == 2 && heard(3, port) == 2 })
	if heard(2, more) != 0 {
		t.Error("a stopped job hears")
	}
}
