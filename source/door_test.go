package source

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/sys"
)

func TestDoorCheck(t *testing.T) {
	path, name, tcp, passed := Address{Scheme: "unix", Path: "/x"}, Address{Scheme: "unix", Path: "@x"}, Address{Scheme: "tcp"}, Address{Scheme: "fd", Path: "x"}
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	for _, c := range []struct {
		name   string
		door   Door
		listen []Address
		err    string
	}{
		{"nothing", Door{}, []Address{tcp}, ""},
		{"everything", Door{Backlog: 1, ReusePort: true, Mode: 0o600, Owner: "x", Group: "x", PerPeer: 1, Allow: loopback, Rate: Rate{1, 1}}, []Address{tcp, path}, ""},
		{"nowhere", Door{}, nil, "listen is missing"},
		{"a mode without a file", Door{Mode: 0o600}, []Address{tcp, name}, "for unix sockets with a path"},
		{"an owner without a file", Door{Owner: "root"}, []Address{name}, "for unix sockets with a path"},
		{"networks of local users", Door{Allow: loopback}, []Address{path}, "for tcp and udp"},
		{"networks of who knows whom", Door{Allow: loopback}, []Address{passed}, ""},
		{"a port of a file", Door{ReusePort: true}, []Address{path}, "for tcp and udp"},
		{"a rate without a time", Door{Rate: Rate{Count: 1}}, []Address{tcp}, "rate"},
	} {
		err := Check(Accept{c.listen, c.door})
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, want %q", c.name, err, c.err)
		}
	}
	if err := Check(Accept{Listen: []Address{{Scheme: "udp"}}}); err == nil {
		t.Error("datagrams are accepted")
	}
}

func TestAllow(t *testing.T) {
	d := Door{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fe80::/10")}}
	for ip, want := range map[string]bool{"10.1.2.3": true, "11.0.0.1": false, "fe80::1%3": true, "::1": false, "0.0.0.0": false} {
		if d.allows(netip.MustParseAddr(ip)) != want || !(Door{}).allows(netip.MustParseAddr(ip)) {
			t.Errorf("%s: want %t", ip, want)
		}
	}
}

// through starts a job of socket.accept with a door and returns where it listens.
func through(t *testing.T, s Source, address string, d Door) (network, at string) {
	t.Helper()
	a, err := ParseAddress(address)
	if err == nil {
		err = s.Start(1, Accept{[]Address{a}, d})
	}
	if err != nil {
		t.Fatal(err)
	}
	if !a.scheme().ip {
		return a.Scheme, a.Path
	}
	local, err := sys.LocalName(s.(*accepts).jobs[1][0].fd)
	if err != nil {
		t.Fatal(err)
	}
	return a.Scheme, local.IP.String()
}

// closed reports that a client sees the end of its connection.
func closed(t *testing.T, c net.Conn) bool {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience)) //nolint:errcheck // then it takes longer to fail
	_, err := c.Read(make([]byte, 1))
	return err != nil && !os.IsTimeout(err)
}

func TestStrangersAreRefused(t *testing.T) {
	d, s := newDesk(t, "socket.accept")
	network, at := through(t, s, "tcp://127.0.0.1:0", Door{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}})
	stranger := dial(t, network, at)
	d.quiet(t, 10*time.Millisecond)
	if !closed(t, stranger) {
		t.Error("a stranger is not refused")
	}
	friend, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).Dial(network, at)
	if err != nil {
		t.Fatal(err)
	}
	defer friend.Close()
	d.events(t, 1)
	if n := s.(*accepts).jobs[1][0].gate.refused.n; n != 1 {
		t.Errorf("%d were refused", n)
	}
}

func TestStrangersDatagramsAreThrownAway(t *testing.T) {
	r := newReader(t, "udp://127.0.0.1:0", Read{Door: Door{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}}})
	say(t, r.client(), "no")
	to, err := net.ResolveUDPAddr("udp", r.at)
	if err != nil {
		t.Fatal(err)
	}
	friend, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)}, to)
	if err != nil {
		t.Fatal(err)
	}
	defer friend.Close()
	say(t, friend, "yes")
	if e := r.next(); string(e.Data) != "yes" {
		t.Errorf("%q", e.Data)
	}
	if n := r.job().refused.n; n != 1 {
		t.Errorf("%d are counted", n)
	}
}

// TestPerPeer_R008: one peer has so many connections at once; when one of them is done with it may have another.
func TestPerPeer_R008(t *testing.T) {
	for _, address := range []string{"tcp://127.0.0.1:0", "tcp://[::1]:0", "unix:" + abstract(t), "unixpacket:" + abstract(t)} {
		t.Run(address, func(t *testing.T) {
			d, s := newDesk(t, "socket.accept")
			network, at := through(t, s, address, Door{PerPeer: 2})
			for range 2 {
				dial(t, network, at)
			}
			d.events(t, 2)
			if !func() bool { c := dial(t, network, at); d.quiet(t, 10*time.Millisecond); return closed(t, c) }() {
				t.Error("a third connection is not refused")
			}
			e := d.detected[0]
			e.Origin.Ended(e.Event, &aem.Completion{})
			dial(t, network, at)
			d.events(t, 3)
			if strings.HasPrefix(network, "tcp") && network != "tcp" {
				return
			}
			if address == "tcp://127.0.0.1:0" {
				other, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).Dial(network, at)
				if err != nil {
					t.Fatal(err)
				}
				defer other.Close()
				d.events(t, 4)
			}
		})
	}
	t.Run("read", func(t *testing.T) {
		r := newReader(t, "tcp://127.0.0.1:0", Read{Door: Door{PerPeer: 1}})
		first := r.client()
		r.until(t, "connected", func() bool { return len(r.job().conns) == 1 })
		r.gets(r.client(), "")
		first.Close()
		r.until(t, "closed", func() bool { return len(r.job().conns) == 0 })
		say(t, r.client(), "x")
		r.next()
	})
}

func TestPeersOfANetworkAreOne(t *testing.T) {
	peer := func(ip string) sys.Peer { return sys.Peer{IP: netip.AddrPortFrom(netip.MustParseAddr(ip), 1)} }
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"10.0.0.1", "10.0.0.1", true}, {"10.0.0.1", "10.0.0.2", false},
		{"fd00::1", "fd00::2", true}, {"fd00::1", "fd00:0:0:1::1", false}, {"fe80::1%1", "fe80::1%2", true},
	} {
		if got := whoIs(-1, peer(c.a)) == whoIs(-1, peer(c.b)); got != c.same {
			t.Errorf("%s and %s are one peer: %t", c.a, c.b, got)
		}
	}
}

// TestRate_R023: beyond it clients wait in the kernel, and all come in their turn.
func TestRate_R023(t *testing.T) {
	d, s := newDesk(t, "socket.accept")
	network, at := through(t, s, "tcp://127.0.0.1:0", Door{Rate: Rate{Count: 3, Per: 150 * time.Millisecond}})
	began := time.Now()
	for range 6 {
		dial(t, network, at)
	}
	d.turn(t, patience)
	if n := len(d.detected); n != 3 {
		t.Errorf("%d came at once, want 3", n)
	}
	d.events(t, 6)
	if took := time.Since(began); took < 140*time.Millisecond {
		t.Errorf("all came in %v", took)
	}
	if d.troubles != nil {
		t.Errorf("trouble was told: %v", d.troubles)
	}
	for range 3 {
		dial(t, network, at)
	}
	s.Hold(1)
	s.Resume(1) // which ends no wait
	s.Stop(1)
	if _, waits := d.alarms.Next(); waits {
		t.Error("a stopped job waits")
	}
}

func TestBacklogIsTheSockets(t *testing.T) {
	_, s := newDesk(t, "socket.accept")
	network, at := through(t, s, "unix:"+abstract(t), Door{Backlog: 1})
	for i := range 10 { // unix(7) takes one more than that, and then waits; a client that does not wait hears EAGAIN
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Close(fd)
		if err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: at}); err != nil {
			if i != 2 || err != syscall.EAGAIN {
				t.Errorf("connection %d on %s: %v", i, network, err)
			}
			return
		}
	}
	t.Error("ten connections wait")
}

func TestReusePortSharesAPort(t *testing.T) {
	_, s := newDesk(t, "socket.accept")
	_, at := through(t, s, "tcp://127.0.0.1:0", Door{ReusePort: true})
	_, other := newDesk(t, "socket.accept")
	through(t, other, "tcp://"+at, Door{ReusePort: true})
	_, third := newDesk(t, "socket.accept")
	a, _ := ParseAddress("tcp://" + at)
	if err := third.Start(1, Accept{Listen: []Address{a}}); err == nil {
		t.Error("one that does not share it gets it")
	}
}

// TestModeOfASocket: the umask neither adds to it nor takes from it.
func TestModeOfASocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for _, mode := range []uint32{0o600, 0o666, 0o770} {
		_, s := newDesk(t, "socket.accept")
		through(t, s, "unix://"+path, Door{Mode: mode})
		if info, err := os.Stat(path); err != nil || uint32(info.Mode().Perm()) != mode {
			t.Errorf("mode %v, %v, want %o", info.Mode(), err, mode)
		}
		s.Stop(1)
	}
}

func TestOwnerOfASocket(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	path := filepath.Join(t.TempDir(), "s")
	for _, c := range []struct {
		door     Door
		uid, gid uint32
	}{{Door{Owner: "daemon", Group: "daemon"}, 1, 1}, {Door{Owner: "7"}, 7, 0}, {Door{Group: "8"}, 0, 8}} {
		_, s := newDesk(t, "socket.accept")
		through(t, s, "unix://"+path, c.door)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); st.Uid != c.uid || st.Gid != c.gid {
			t.Errorf("%+v: it is of %d:%d", c.door, st.Uid, st.Gid)
		}
		s.Stop(1)
	}
	_, s := newDesk(t, "socket.accept")
	for _, d := range []Door{{Owner: "no-such-user"}, {Group: "no-such-group"}, {Owner: "-1"}} {
		if err := s.Start(1, Accept{[]Address{{Scheme: "unix", Path: path}}, d}); err == nil {
			t.Errorf("%+v is taken", d)
		}
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("a socket is left")
	}
}

func TestInheritedNames(t *testing.T) {
	own := strconv.Itoa(os.Getpid())
	for _, c := range []struct {
		name, pid, fds, names string
		want                  int // the sum of the numbers
	}{
		{"web", own, "2", "web:log", 3}, {"log", own, "2", "web:log", 4}, {"web", own, "2", "web:web", 7},
		{"4", own, "2", "", 4}, {"5", own, "2", "", 0}, {"4", own, "2", "web", 4}, {"3", own, "2", "web", 0},
		{"web", "1", "1", "web", 0}, {"web", own, "", "web", 0}, {"web", own, "many", "web", 0}, {"web", "", "1", "web", 0},
	} {
		env := map[string]string{"LISTEN_PID": c.pid, "LISTEN_FDS": c.fds, "LISTEN_FDNAMES": c.names}
		sum := 0
		for _, fd := range inherited(c.name, func(name string) string { return env[name] }) {
			sum += fd
		}
		if sum != c.want {
			t.Errorf("%+v: the numbers add up to %d", c, sum)
		}
	}
	_, s := newDesk(t, "socket.accept")
	if err := s.Start(1, Accept{Listen: []Address{{Scheme: "fd", Path: "web"}}}); err == nil || !strings.Contains(err.Error(), "fd://web") {
		t.Errorf("what was not passed on: %v", err)
	}
}
