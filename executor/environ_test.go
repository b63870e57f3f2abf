package executor

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/policy"
)

func TestEnviron_R046(t *testing.T) {
	t.Setenv("LANG", "C.UTF-8")
	t.Setenv("TZ", "UTC")
	t.Setenv("SECRET", "hidden")
	t.Setenv("TOKEN", "passed")
	t.Setenv("EMPTY", "")
	t.Setenv("PATH", "/where/the/supervisor/looks")
	t.Setenv("HOME", "/root/of/the/supervisor")
	os.Unsetenv("ABSENT")
	www := Account{Identity: policy.Identity{Name: "www", Home: "/srv/www", Shell: "/bin/sh"}}
	base := []string{"HOME=/srv/www", "LANG=C.UTF-8", "LOGNAME=www", "PATH=" + defaultPath, "SHELL=/bin/sh", "TZ=UTC", "USER=www"}
	for _, c := range []struct {
		name      string
		who       Account
		env       map[string]string
		passEnv   []string
		instead   []string // of variables of base, or beside them
		without   []string
		wholePath string
	}{
		{name: "nothing is asked for", who: www},
		{name: "env", who: www, env: map[string]string{"A": "b=c"}, instead: []string{"A=b=c"}},
		{name: "env comes first", who: www, env: map[string]string{"HOME": "/tmp", "TZ": "CET"}, instead: []string{"HOME=/tmp", "TZ=CET"}},
		{name: "pass_env", who: www, passEnv: []string{"TOKEN"}, instead: []string{"TOKEN=passed"}},
		{name: "env before pass_env", who: www, passEnv: []string{"TOKEN"}, env: map[string]string{"TOKEN": "own"}, instead: []string{"TOKEN=own"}},
		{name: "pass_env before ours", who: www, passEnv: []string{"HOME"}, instead: []string{"HOME=/root/of/the/supervisor"}},
		{name: "what is empty is left out", who: www, passEnv: []string{"EMPTY", "ABSENT"}, env: map[string]string{"TZ": ""}, without: []string{"TZ"}},
		{name: "an account without a home", who: Account{Identity: policy.Identity{Name: "nobody"}}, instead: []string{"USER=nobody", "LOGNAME=nobody"},
			without: []string{"HOME", "SHELL"}},
		{name: "env PATH", who: www, env: map[string]string{"PATH": "/a"}, instead: []string{"PATH=/a"}, wholePath: "/a"},
		{name: "passed PATH", who: www, passEnv: []string{"PATH"}, instead: []string{"PATH=/where/the/supervisor/looks"}, wholePath: "/where/the/supervisor/looks"},
	} {
		s := Spec{Env: c.env, PassEnv: c.passEnv}
		want := map[string]string{}
		for _, v := range append(slices.Clone(base), c.instead...) {
			name, value, _ := strings.Cut(v, "=")
			want[name] = value
		}
		for _, name := range c.without {
			delete(want, name)
		}
		got := s.environ(c.who)
		if len(got) != len(want) || !slices.IsSorted(got) {
			t.Errorf("%s: %q", c.name, got)
		}
		for name, value := range want {
			if !slices.Contains(got, name+"="+value) {
				t.Errorf("%s: no %s=%s in %q", c.name, name, value, got)
			}
		}
		if c.wholePath == "" {
			c.wholePath = defaultPath
		}
		if got := s.path(); got != c.wholePath {
			t.Errorf("%s: programs are looked up in %q, want %q", c.name, got, c.wholePath)
		}
	}
}

func TestFactVars(t *testing.T) {
	a := activation("data is never in the environment", aem.Fact{Name: "topic", Value: "a/t"}, aem.Fact{Name: "path", Value: "/a=b c\n"})
	a.Attempt, a.Event.Count = 3, 7
	got := factVars([]string{"A=b"}, facts("app", "h", a), a.Event)
	want := []string{
		"A=b", "AEM_APP=app", "AEM_EVENT=e", "AEM_HANDLER=h", "AEM_ID=42", "AEM_TYPE=topic", "AEM_ATTEMPT=3", "AEM_COUNT=7",
		"AEM_TIME=1970-01-01T00:00:01.000000005Z", "AEM_LAST=1970-01-01T00:00:01.000000005Z", "AEM_TOPIC=a/t", "AEM_PATH=/a=b c\n",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	if value, ok := facts("app", "h", a)("peer"); ok {
		t.Errorf("a fact that the event has not is %q", value)
	}
}

// TestConnectionVars_R046: UCSPI's names (tcp-environ(5), s6-ipcserver) and those of inetd's descendants. One that is
// unknown is not there at all.
func TestConnectionVars_R046(t *testing.T) {
	for _, c := range []struct {
		name, peer, local string
		want              []string
	}{
		{"tcp", "192.0.2.7:40000", "192.0.2.1:80", []string{
			"PROTO=TCP", "TCPREMOTEIP=192.0.2.7", "TCPREMOTEPORT=40000", "TCPLOCALIP=192.0.2.1", "TCPLOCALPORT=80",
			"REMOTE_ADDR=192.0.2.7", "REMOTE_PORT=40000", "REMOTE_HOST=192.0.2.7"}},
		{"tcp6", "[2001:db8::7]:40000", "[2001:db8::1]:80", []string{
			"PROTO=TCP", "TCPREMOTEIP=2001:db8::7", "TCPREMOTEPORT=40000", "TCPLOCALIP=2001:db8::1", "TCPLOCALPORT=80",
			"REMOTE_ADDR=2001:db8::7", "REMOTE_PORT=40000", "REMOTE_HOST=2001:db8::7"}},
		{"tcp6 of a link", "[fe80::7%2]:1", "[fe80::1%2]:2", []string{
			"PROTO=TCP", "TCPREMOTEIP=fe80::7%2", "TCPREMOTEPORT=1", "TCPLOCALIP=fe80::1%2", "TCPLOCALPORT=2",
			"REMOTE_ADDR=fe80::7%2", "REMOTE_PORT=1", "REMOTE_HOST=fe80::7%2"}},
		{"unix", "unix:/run/client", "unix:/run/x.sock", []string{"PROTO=IPC", "IPCLOCALPATH=/run/x.sock", "IPCREMOTEPATH=/run/client"}},
		{"unix, abstract", "unix:@client", "unix:@x", []string{"PROTO=IPC", "IPCLOCALPATH=@x", "IPCREMOTEPATH=@client"}},
		{"unix, a client without a name", "unix:", "unix:@x", []string{"PROTO=IPC", "IPCLOCALPATH=@x"}},
		{"no addresses", "", "", nil},
	} {
		e := aem.Event{FD: -1, Facts: []aem.Fact{{Name: "peer", Value: c.peer}, {Name: "local", Value: c.local}}}
		if got := connectionVars([]string{"A=b"}, &e)[1:]; !slices.Equal(got, c.want) {
			t.Errorf("%s: %q\nwant %q", c.name, got, c.want)
		}
	}
}

func TestListenVars(t *testing.T) {
	for _, c := range []struct {
		peer string
		want []string
	}{
		{"10.0.0.7:50000", []string{"REMOTE_ADDR=10.0.0.7", "REMOTE_PORT=50000", "LISTEN_FDS=1", "LISTEN_FDNAMES=connection"}},
		{"unix:", []string{"LISTEN_FDS=1", "LISTEN_FDNAMES=connection"}},
		{"", []string{"LISTEN_FDS=1", "LISTEN_FDNAMES=e"}},
	} {
		a := activation("")
		if c.peer != "" {
			a.Event.Facts = []aem.Fact{{Name: "peer", Value: c.peer}}
		}
		if got := listenVars(nil, a); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q\nwant %q", c.peer, got, c.want)
		}
	}
}

// TestConnectionVarsOfAUnixClient: who it runs as is known of every client.
func TestConnectionVarsOfAUnixClient(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	file, err := conn.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	e := aem.Event{FD: int(file.Fd()), Facts: []aem.Fact{{Name: "peer", Value: "unix:"}, {Name: "local", Value: "unix:" + path}}}
	want := []string{"PROTO=IPC", "IPCLOCALPATH=" + path, "IPCREMOTEEUID=" + itoa(os.Geteuid()), "IPCREMOTEEGID=" + itoa(os.Getegid())}
	if got := connectionVars(nil, &e); !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}

func TestFindProgram_R064(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"first/tool": 0o755, "second/tool": 0o755, "second/other": 0o711, "first/other": 0o644, "first/text": 0o644} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "first/folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "first") + ":" + filepath.Join(dir, "nowhere") + "::" + filepath.Join(dir, "second")
	t.Chdir(filepath.Join(dir, "second")) // an empty element of PATH is not the working directory here
	for _, c := range []struct{ name, path, want, err string }{
		{"tool", path, "first/tool", ""},
		{"other", path, "second/other", ""},
		{"text", path, "", `find program "text": not in `},
		{"folder", path, "", "not in"},
		{"tool", "", "", "not in"},
		{"tool", ".:second", "", "not in"},
		{"", path, "", "not in"},
		{dir + "/second/tool", "", "second/tool", ""},
		{dir + "/first/text", path, "", "not an executable file"},
		{dir + "/first/folder", path, "", "not an executable file"},
		{dir + "/first/none", path, "", "no such file"},
	} {
		got, err := FindProgram(c.name, c.path)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q: %q, %v, want an error with %q", c.name, got, err, c.err)
			}
		} else if got != filepath.Join(dir, c.want) || err != nil {
			t.Errorf("%q: %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}

func TestFactsOfTime(t *testing.T) {
	a := activation("")
	a.Event.Time = time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("CET", 3600))
	if got, _ := facts("app", "h", a)("time"); got != "2026-01-02T03:04:05.000000006+01:00" {
		t.Errorf("time is %s", got)
	}
}
