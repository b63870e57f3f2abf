package attach

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/handler"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// files are two apps; nobody's may be attached to by uid 65534.
const files = `
[app.a.limits]
jobs = 2000
priority_max = 20
[app.b.limits]
types = ["timer"]
processes = 1
[app.c.limits]
agents = ["callback"]
`

// TestProgramRegistersWhileItRuns: what it asks for comes into its own memory, complete, in its own context; a signal
// ends its keepalive; and nothing is left of it when it ends.
func TestProgramRegistersWhileItRuns_R058_R065_R079_R113_R119(t *testing.T) {
	for _, c := range []struct{ program, copy string }{{"tell", "direct"}, {"tell", "shared"}, {"testdata/tell.py", "direct"}, {"testdata/tell.py", "shared"}} {
		t.Run(c.program+" "+c.copy, func(t *testing.T) {
			if c.copy == "direct" {
				aemtest.Require(t, peerProcess)
			}
			w := serve(t, files)
			socket := filepath.Join(w.dir, "in.sock")
			p := w.start(c.program, 0, socket, c.copy)
			if strings.HasSuffix(c.program, ".py") {
				if got := p.says("refused "); !strings.HasPrefix(got, "22 ") || !strings.Contains(got, "did you mean every?") {
					t.Errorf("refused: %q", got)
				}
				if got := p.says("own "); got != "('in', b'hello') construct mine destruct mine" {
					t.Errorf("its own socket: %q", got)
				}
			}
			ids := strings.Fields(p.says("ids "))
			if got := p.says("tick "); got != "timer true true" {
				t.Errorf("a tick is %q", got)
			}
			for _, size := range []int{0, 10, 100_000, 3 << 20} { // the last one needs another arena
				data := strings.Repeat("x", size)
				fates := w.emit("a/news", data)
				if want := fmt.Sprintf("%x", sha256.Sum256([]byte(data))); len(fates) != 1 || fates[0].Outcome != "done" || string(fates[0].Reply) != want {
					t.Errorf("%d bytes: %+v, want %s", size, fates, want)
				}
			}
			c, err := net.Dial("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close() //nolint:errcheck // a test's
			fmt.Fprint(c, "hello")
			c.(*net.UnixConn).CloseWrite() //nolint:errcheck // as above
			if echo, err := io.ReadAll(c); err != nil || string(echo) != "hello" {
				t.Errorf("echo %q, %v", echo, err)
			}
			reply, err := w.ask(control.Request{Op: control.OpLookup, Selectors: []control.Selector{must(control.ParseSelector(ids[1]))}})
			if err != nil {
				t.Fatal(err)
			}
			job := must(control.ResultOf[[]control.Lookup](reply))[0]
			if name := fmt.Sprintf("attached-%d", p.Process.Pid); job.Event != "news" || job.Handler != name || *job.Life != "attached" || job.Counts.Done != 4 || job.Arena.Grown != 1 {
				t.Errorf("job %s", text(job))
			}
			for _, s := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGTERM} {
				if err := p.Process.Signal(s); err != nil {
					t.Fatal(err)
				}
				if got := p.says("signal "); got != s.String() {
					t.Errorf("%v ended keepalive as %q", s, got)
				}
			}
			w.await("no job is left", func() bool { return len(w.jobs()) == 0 })
		})
	}
}

// TestKilledProgramLosesWhatIsItsOwn: its jobs are gone at once, what waited and what it had is shed as removed, and
// another program goes on.
func TestKilledProgramLosesWhatIsItsOwn_R080(t *testing.T) {
	w := serve(t, files)
	stays := w.start("tell", 0, filepath.Join(w.dir, "in.sock"), "shared")
	stays.says("ids ")
	p := w.start("hang", 0)
	p.says("ready")
	fates := make(chan []control.Fate, 10)
	for range cap(fates) {
		go func() { fates <- w.emit("a/stuck", "x") }()
	}
	p.says("stuck")
	w.await("all are there", func() bool {
		for _, j := range w.jobs() {
			if j.Counts.Detected == uint64(cap(fates)) && j.Handler == fmt.Sprintf("attached-%d", p.Process.Pid) {
				return true
			}
		}
		return false
	})
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for range cap(fates) {
		if f := <-fates; len(f) != 1 || f[0].Outcome != "shed" || f[0].Reason != "removed" {
			t.Errorf("fate %+v", f)
		}
	}
	w.await("its job is gone", func() bool { return len(w.jobs()) == 3 })
	if f := w.emit("a/news", "x"); len(f) != 1 || f[0].Outcome != "done" {
		t.Errorf("the other program: %+v", f)
	}
}

// TestExecBetweenHelloAndCopyWritesNothing has a program become another one that knows nothing of us, with the
// connection, the channel and the page open: what is for it is not written into the new one.
func TestExecBetweenHelloAndCopyWritesNothing(t *testing.T) {
	aemtest.Require(t, peerProcess)
	w := serve(t, files)
	p := w.start("exec", 0)
	p.says("ready")
	w.await("it is another program", func() bool {
		return strings.HasPrefix(read(t, fmt.Sprintf("/proc/%d/cmdline", p.Process.Pid)), "sleep")
	})
	if f := w.emit("a/news", strings.Repeat("x", 10_000)); len(f) != 1 || f[0].Outcome != "shed" || f[0].Reason != "removed" {
		t.Errorf("fate %+v", f)
	}
	w.await("it is detached", func() bool { return strings.Contains(w.logs.String(), "its memory is gone") })
	if len(w.jobs()) != 0 {
		t.Errorf("jobs %s", text(w.jobs()))
	}
	if err := p.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("it was not ours to end: %v", err)
	}
}

// TestWhoMay: other users than root may be agents of their own app only, and register what they could detect by
// themselves.
func TestWhoMay_R080(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	w := serve(t, "[supervisor]\ncontrol.mode = \"0666\"\n"+files+"\n[app.n]\nuser = \"nobody\"\n")
	for _, c := range []struct {
		app, event, want string
	}{
		{"a", "", "refused 1 "},
		{"n", `{"type":"timer","every":"1h"}`, "registered 0"},
		{"n", `{"type":"topic"}`, "registered 0"},
		{"n", `{"type":"topic","topic":"a/t"}`, "registered 1 "},
		{"n", `{"type":"socket.accept","listen":"tcp://127.0.0.1:80"}`, "registered 1 "},
		{"n", `{"type":"socket.read","listen":"tcp://127.0.0.1:8000"}`, "registered 0"},
		{"n", `{"type":"socket.accept","listen":"unix:///run/x"}`, "registered 1 "},
		{"n", `{"type":"socket.accept","listen":"unix:@x"}`, "registered 0"},
		{"n", `{"type":"socket.accept","listen":"fd://web"}`, "registered 1 "},
		{"n", `{"type":"file","path":"/root"}`, "registered 1 "},
		{"n", `{"type":"process.exit","pid":1}`, "registered 0"},
		{"n", `{"type":"process.exit","exe":"/bin/sh"}`, "registered 1 "},
		{"n", `{"type":"socket.state"}`, "registered 1 "},
		{"n", `{"type":"supervisor.failed"}`, "registered 0"},
		{"n", `{"type":"supervisor.failed","apps":["*"]}`, "registered 1 "},
	} {
		p := w.start("try", 65534, c.app, c.event)
		if c.event != "" {
			p.says("attached")
		}
		if line := <-p.lines; !strings.HasPrefix(line, c.want) {
			t.Errorf("%s %s: %q, want %q", c.app, c.event, line, c.want)
		}
	}
}

// TestProgramIsBoosted: the thread that handles events is raised while it does, and is as it was when the program is no
// agent any more.
func TestProgramIsBoosted(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	w := serve(t, "[app.a.boost]\n15 = { nice = -5 }\n")
	a := w.attach("a")
	nice := func() int {
		s, err := sys.Scheduling(0)
		if err != nil {
			t.Fatal(err)
		}
		return int(s.Nice)
	}
	before, within := nice(), make(chan int, 1)
	if _, err := a.Register(t.Context(), "news", table{"type": "topic", "priority": 15, "start": true}, func(context.Context, *handler.Event) error {
		within <- nice()
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	done := make(chan []control.Fate)
	go func() { done <- w.emit("a/news", "x") }()
	w.handle(a, func() bool { return len(within) == 1 })
	if got := <-within; got != -5 {
		t.Errorf("nice %d within a handler, want -5", got)
	}
	<-done
	a.Close()
	w.await("it is detached", func() bool { return strings.Contains(w.logs.String(), "msg=detached") })
	if got := nice(); got != before {
		t.Errorf("nice %d after it, want %d", got, before)
	}
}
