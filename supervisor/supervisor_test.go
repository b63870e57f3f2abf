package supervisor

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/limits"
	"github.com/aem-exec/aem-exec/source"
)

// patience is how long a test waits for what must happen.
var patience = aemtest.Slow(30 * time.Second)

// folder is one where every user may execute programs; it goes with the run.
var folder = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "aem-supervisor-test-"); err == nil {
		err = os.Chmod(dir, 0o755)
	}
	return dir, err
})

// programs is the folder of the example handlers, built when a test first wants them.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := folder()
	if err != nil {
		return "", err
	}
	return aemtest.GoPrograms(dir, "../examples/handlers/...")
})

// program is the path of an example handler.
func program(t *testing.T, name string) string {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

func TestMain(m *testing.M) {
	play()
	aemtest.NoLeaks(m, func() {
		if dir, err := folder(); err == nil {
			os.RemoveAll(dir)
		}
	})
}

// handler is a handler with all defaults.
func handler(name string, exec ...string) executor.Spec {
	return executor.Spec{
		Name: name, Agent: executor.Process, Exec: exec, Life: executor.Cold, Handover: executor.Direct,
		Size: 4, Concurrency: 32, Dir: "/", Umask: 0o022, ReadyTimeout: patience, KillAfter: 5 * time.Second,
		Leftover: executor.KillLeftover, Success: []int{0}, Retries: 3,
		Backoff:   executor.Backoff{First: 10 * time.Millisecond, Factor: 2, Max: time.Second, Jitter: 0.1},
		Restart:   executor.Backoff{First: 10 * time.Millisecond, Factor: 2, Max: time.Second, Jitter: 0.1},
		ArenaSize: 1 << 20, ArenaMax: 64 << 20,
	}
}

func builtin(name, call string, args map[string]any) executor.Spec {
	return executor.Spec{Name: name, Agent: executor.Callback, Call: call, Args: args, Concurrency: 32, Retries: 3,
		Backoff: executor.Backoff{First: 10 * time.Millisecond, Factor: 2, Max: time.Second}}
}

func event(name string, src source.Spec, handlers ...string) Registration {
	return Registration{Name: name, Source: src, Handlers: handlers, Priority: aem.PriorityDefault, Start: true, Full: HoldFull}
}

// app is an app with all defaults.
func testApp(name string, handlers []executor.Spec, events ...Registration) App {
	return App{
		Name: name, Start: true, Handlers: handlers, Events: events,
		Limits: limits.Limits{Jobs: 1000, Activations: 256, QueueBytes: 64 << 20, PriorityMax: 15, Swap: -1},
	}
}

// run is a running supervisor.
type run struct {
	*Supervisor
	t    *testing.T
	logs *aemtest.Log
	stop func()
}

// startRun runs a supervisor until the test ends, or stop is called.
func startRun(t *testing.T, change func(*Options), apps ...App) *run {
	t.Helper()
	logs := new(aemtest.Log)
	ready := make(chan struct{})
	o := Options{
		Grace: 5 * time.Second, DeadLetters: 1000, Apps: apps, RuntimeDir: t.TempDir(), StateDir: t.TempDir(),
		Control: Control{Mode: 0o600},
		Logger:  slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Ready:   func(int, int, string) { close(ready) },
	}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
		if t.Failed() {
			t.Logf("log:\n%s", logs)
		}
	})
	t.Cleanup(stop)
	<-ready
	return &run{s, t, logs, stop}
}

// counts are the books of a job.
func (r *run) counts(name string) (c aem.Counts) {
	r.t.Helper()
	r.ask(func() {
		if j := r.jobNamed(name); j != nil {
			c = r.jobs.counts(j)
		}
	})
	if !c.Balanced() {
		r.t.Errorf("%s: books do not balance: %+v", name, c)
	}
	return c
}

// until waits for a condition on a job's books.
func (r *run) until(name string, what string, ok func(aem.Counts) bool) aem.Counts {
	r.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		c := r.counts(name)
		if ok(c) {
			return c
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%s: not %s: %+v", name, what, c)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func tcpAddress(t *testing.T) source.Address {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := source.ParseAddress("tcp://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// echo sends text to an address and wants it back.
func echo(addr source.Address, text string) error {
	c, err := net.Dial("tcp", addr.IP.String())
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, text); err != nil {
		return err
	}
	c.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(c)
	if err == nil && string(got) != text {
		err = fmt.Errorf("got %q, want %q", got, text)
	}
	return err
}

func TestEchoThroughEveryLife_R085_R090(t *testing.T) {
	cold := handler("echo", program(t, "echo"))
	capsule, resident := cold, cold
	capsule.Life, resident.Life = executor.Capsule, executor.Resident
	cat := handler("echo", "/bin/cat")
	cat.Handover = executor.Socket
	for name, h := range map[string]executor.Spec{"cold": cold, "capsule": capsule, "resident": resident, "cat": cat} {
		t.Run(name, func(t *testing.T) {
			addr := tcpAddress(t)
			r := startRun(t, nil, testApp("web", []executor.Spec{h}, event("hello", source.Accept{Listen: []source.Address{addr}}, "echo")))
			connections := aemtest.Few[uint64](200)
			var clients sync.WaitGroup
			places := make(chan struct{}, 32)
			for i := range connections {
				places <- struct{}{}
				clients.Go(func() {
					defer func() { <-places }()
					if err := echo(addr, fmt.Sprintf("line %d\n", i)); err != nil {
						t.Errorf("connection %d: %v", i, err)
					}
				})
			}
			clients.Wait()
			c := r.until("web/hello", "done", func(c aem.Counts) bool { return c.Done == connections })
			if c.Detected != connections {
				t.Errorf("detected %d", c.Detected)
			}
		})
	}
}
