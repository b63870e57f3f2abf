package attach

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/config"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/handler"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/supervisor"
)

// patience is how long a test waits for what must happen.
var patience = aemtest.Slow(30 * time.Second)

// TestMain runs the tests, or, started by one of them, the program that it named.
func TestMain(m *testing.M) {
	if name := os.Getenv("AEM_TEST_PROGRAM"); name != "" {
		programs[name]()
		os.Exit(0)
	}
	aemtest.NoLeaks(m)
}

// peerProcess is that the kernel names the process which connected: without it programs that attach have a shared arena.
var peerProcess = aemtest.Feature{Name: "SO_PEERPIDFD (Linux 6.5)", Where: aemtest.HostOnly, Probe: func() error {
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(ends[1]) //nolint:errcheck // a test's
	defer syscall.Close(ends[0]) //nolint:errcheck // a test's
	pidfd, err := sys.PeerPIDFD(ends[0])
	if err == nil {
		err = sys.Close(pidfd)
	}
	return err
}}

// settings are what a program states, with the way of copying that this kernel has, and with as long to say hello as
// anything may take here.
func settings(stated table) handler.Option {
	if stated["arena"] == nil && peerProcess.Probe() != nil {
		stated["arena"] = table{"copy": "shared"}
	}
	if stated["ready_timeout"] == nil {
		stated["ready_timeout"] = patience.String()
	}
	return handler.Settings(stated)
}

// world is a supervisor that runs in this process.
type world struct {
	*supervisor.Supervisor
	t    *testing.T
	dir  string
	logs *aemtest.Log
}

// serve runs a supervisor with a file's text until the test ends.
func serve(t *testing.T, text string) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "aem-attach-") // and not the test's own folder, which is root's alone
	if err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) }) //nolint:errcheck // what is left of it is in /tmp
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: dir, logs: new(aemtest.Log)}
	o := w.options(text)
	o.Logger = slog.New(slog.NewTextHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ready := make(chan struct{})
	o.Ready = func(int, int, string) { close(ready) }
	s, err := supervisor.New(o)
	if err != nil {
		t.Fatal(err)
	}
	w.Supervisor = s
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
		if t.Failed() {
			t.Logf("log:\n%s", w.logs)
		}
	})
	<-ready
	return w
}

// options are what a file's text says.
func (w *world) options(text string) supervisor.Options {
	w.t.Helper()
	file, err := config.Parse(filepath.Join(w.dir, "aem.toml"), []byte(text))
	if err != nil {
		w.t.Fatal(err)
	}
	o := file.Options
	o.RuntimeDir, o.Tables = w.dir, config.Tables{}
	return o
}

// attach makes this test's goroutine an agent of an app, until the test ends.
func (w *world) attach(app string, opts ...handler.Option) *handler.Agent {
	w.t.Helper()
	a, err := handler.Attach(w.t.Context(), app, append([]handler.Option{settings(table{}), handler.RuntimeDir(w.dir)}, opts...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(a.Close)
	return a
}

// ask asks the supervisor for something over a connection that ends with it.
func (w *world) ask(req control.Request) (control.Reply, error) {
	w.t.Helper()
	c, err := control.Dial(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // it is given up
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return c.Do(ctx, req)
}

func (w *world) jobs() []aem.JobStatus {
	w.t.Helper()
	reply, err := w.ask(control.Request{Op: control.OpList})
	if err != nil {
		w.t.Fatal(err)
	}
	list, err := control.ResultOf[[]aem.JobStatus](reply)
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

// await waits until something is so.
func (w *world) await(what string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("never: %s", what)
		}
	}
}

// emit publishes and waits for the fates.
func (w *world) emit(topic, data string) []control.Fate {
	w.t.Helper()
	reply, err := w.ask(control.Request{Op: control.OpEmit, Topic: topic, Data: []byte(data), Wait: true})
	if err != nil {
		w.t.Fatal(err)
	}
	emitted, err := control.ResultOf[control.Emitted](reply)
	if err != nil {
		w.t.Fatal(err)
	}
	return emitted.Fates
}

// program is one of programs, in a process of its own.
type program struct {
	*exec.Cmd
	t     *testing.T
	in    io.WriteCloser
	lines chan string
}

// command is one of programs, or a script, or a program in C.
func (w *world) command(name string, uid uint32, args []string) *exec.Cmd {
	w.t.Helper()
	if strings.HasSuffix(name, ".c") {
		compiler := strings.Fields(cmp.Or(os.Getenv("AEM_TEST_COMPILER"), "cc -std=gnu99"))
		flags := []string{"-O2", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-I", "../../sdk/c"}
		built, err := aemtest.CProgram(w.dir, name, append(compiler, flags...)...)
		if err != nil {
			w.t.Fatal(err)
		}
		cmd := exec.Command(built, args...)
		cmd.Env = append(os.Environ(), "AEM_RUNTIME_DIR="+w.dir)
		return cmd
	}
	if !strings.HasSuffix(name, ".py") {
		cmd := exec.Command(w.executable(uid), args...)
		cmd.Env = append(os.Environ(), "AEM_TEST_PROGRAM="+name, "AEM_RUNTIME_DIR="+w.dir, "GORACE=atexit_sleep_ms=0")
		return cmd
	}
	aemtest.Require(w.t, aemtest.Python)
	cmd := exec.Command("python3", append([]string{name}, args...)...)
	cmd.Env = append(os.Environ(), "AEM_RUNTIME_DIR="+w.dir, "PYTHONPATH=../../sdk/python", "PYTHONDONTWRITEBYTECODE=1")
	return cmd
}

// start starts one of programs. Its lines are read, and its end is waited for, when the test asks for it.
func (w *world) start(name string, uid uint32, args ...string) *program {
	w.t.Helper()
	p := &program{Cmd: w.command(name, uid, args), t: w.t, lines: make(chan string, 1000)}
	p.Stderr = os.Stderr
	if uid != 0 {
		p.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	out, err := p.StdoutPipe()
	if err == nil {
		p.in, err = p.StdinPipe()
	}
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	w.t.Cleanup(func() {
		p.Process.Kill() //nolint:errcheck // it may have ended
		<-read
		p.Wait() //nolint:errcheck // it was killed
	})
	return p
}

// executable is this program, where a user can find it.
func (w *world) executable(uid uint32) string {
	w.t.Helper()
	if uid == 0 {
		return os.Args[0]
	}
	copied := filepath.Join(w.dir, "program")
	if _, err := os.Stat(copied); err == nil {
		return copied
	}
	text, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(copied, text, 0o755)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return copied
}

// says waits for a line that begins so, and returns the rest of it.
func (p *program) says(begin string) string {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("the program ended without %q", begin)
			}
			if rest, ok := strings.CutPrefix(line, begin); ok {
				return rest
			}
		case <-deadline:
			p.t.Fatalf("the program never says %q", begin)
		}
	}
}

// must ends a program that cannot go on.
func must[T any](v T, err error) T {
	if err != nil {
		fmt.Println("failed", err)
		os.Exit(1)
	}
	return v
}

// errno is what a refusal is.
func errno(err error) syscall.Errno {
	var refused *control.Error
	if errors.As(err, &refused) {
		return refused.Errno
	}
	return 0
}

// table is an event's.
type table = map[string]any

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// handle handles events until n were, or the test's patience is over.
func (w *world) handle(a *handler.Agent, done func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if _, err := a.Dispatch(); err != nil {
			w.t.Fatal(err)
		}
		if time.Now().After(deadline) {
			w.t.Fatal("the events never come")
		}
	}
}
