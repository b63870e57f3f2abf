package source

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestParseAddress(t *testing.T) {
	long := "/" + strings.Repeat("x", maxUnixPathBytes-1)
	for _, c := range []struct {
		text string
		want Address
		err  string // part of it
	}{
		{text: "tcp://127.0.0.1:7007", want: Address{Scheme: "tcp", IP: netip.MustParseAddrPort("127.0.0.1:7007")}},
		{text: "tcp://[::]:80", want: Address{Scheme: "tcp", IP: netip.MustParseAddrPort("[::]:80")}},
		{text: "tcp://[fe80::1%eth0]:80", want: Address{Scheme: "tcp", IP: netip.MustParseAddrPort("[fe80::1%eth0]:80")}},
		{text: "unix:///run/x.sock", want: Address{Scheme: "unix", Path: "/run/x.sock"}},
		{text: "unix://" + long, want: Address{Scheme: "unix", Path: long}},
		{text: "unix:@name", want: Address{Scheme: "unix", Path: "@name"}},
		{text: "", err: "want tcp://IP:PORT"},
		{text: "udp://127.0.0.1:53", want: Address{Scheme: "udp", IP: netip.MustParseAddrPort("127.0.0.1:53")}},
		{text: "unixgram:///run/x.sock", want: Address{Scheme: "unixgram", Path: "/run/x.sock"}},
		{text: "unixpacket:@name", want: Address{Scheme: "unixpacket", Path: "@name"}},
		{text: "udp:127.0.0.1:53", err: "want udp://IP:PORT"},
		{text: "fd://web", want: Address{Scheme: "fd", Path: "web"}},
		{text: "fd:web", err: "want tcp://IP:PORT"},
		{text: "fd://", err: "want fd://NAME"},
		{text: "fd://a:b", err: "want fd://NAME"},
		{text: "fd://a b", err: "want fd://NAME"},
		{text: "http://127.0.0.1:53", err: "want tcp://IP:PORT"},
		{text: "tcp:127.0.0.1:80", err: "want tcp://IP:PORT"},
		{text: "tcp://localhost:80", err: "want tcp://IP:PORT"},
		{text: "tcp://:80", err: "want tcp://IP:PORT"},
		{text: "tcp://127.0.0.1", err: "want tcp://IP:PORT"},
		{text: "tcp://127.0.0.1:65536", err: "want tcp://IP:PORT"},
		{text: "tcp://::1:80", err: "want tcp://IP:PORT"},
		{text: "unix:/run/x.sock", err: "want tcp://IP:PORT"},
		{text: "unix://run/x.sock", err: "absolute path"},
		{text: "unix://", err: "absolute path"},
		{text: "unix:///", err: "absolute path"},
		{text: "unix:@", err: "absolute path"},
		{text: "unix://" + long + "x", err: "longer than 107 bytes"},
		{text: "unix:///run/x\x00.sock", err: "NUL"},
		{text: "unix:@a\x00b", err: "NUL"},
	} {
		got, err := ParseAddress(c.text)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q: %v %v, want an error with %q", c.text, got, err, c.err)
			}
			continue
		}
		if got != c.want || err != nil || got.String() != c.text {
			t.Errorf("%q: %+v, printed %q, %v", c.text, got, got, err)
		}
	}
}

func FuzzAddress(f *testing.F) {
	for _, seed := range []string{"tcp://127.0.0.1:80", "tcp://[::ffff:1.2.3.4]:1", "tcp://[fe80::1%2]:80", "unix:///a", "unix:@a", "unix://@a", "unix:@@", "fd://@a", "fd:///a", "udp://[::]:1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAddress(text)
		if err != nil {
			return
		}
		if again, err := ParseAddress(a.String()); again != a || err != nil {
			t.Errorf("%q is %+v, printed %q and read back as %+v, %v", text, a, a, again, err)
		}
	})
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name string
		spec Spec
		ok   bool
	}{
		{"after", Timer{After: time.Nanosecond}, true},
		{"every", Timer{Every: time.Millisecond}, true},
		{"every and first", Timer{Every: time.Hour, First: time.Second}, true},
		{"neither after nor every", Timer{First: time.Second}, false},
		{"after and every", Timer{After: time.Second, Every: time.Second}, false},
		{"a negative after", Timer{After: -time.Second}, false},
		{"a negative every", Timer{Every: -time.Second}, false},
		{"a negative first", Timer{Every: time.Second, First: -1}, false},
		{"every too often", Timer{Every: time.Millisecond - 1}, false},
		{"listen", Accept{Listen: []Address{{Scheme: "unix", Path: "@x"}}}, true},
		{"listen nowhere", Accept{}, false},
		{"topic", Topic{"app/name"}, true},
		{"topic without an app", Topic{"name"}, false},
		{"topic of nobody", Topic{"/name"}, false},
		{"topic without a name", Topic{"app/"}, false},
		{"notices", Notice{"supervisor.limit", []string{"a", "b*"}}, true},
		{"notices of no pattern", Notice{"supervisor.limit", []string{"["}}, false},
		{"a whole file system", File{Path: "/x", On: FileOn, Whole: "filesystem"}, true},
		{"a whole of no kind", File{Path: "/x", On: FileOn, Whole: "mount"}, false},
		{"a whole that is a tree", File{Path: "/x", On: FileOn, Whole: "filesystem", Recursive: true}, false},
	} {
		if err := Check(c.spec); (err == nil) != c.ok {
			t.Errorf("%s: %v, want ok %t", c.name, err, c.ok)
		}
	}
}
