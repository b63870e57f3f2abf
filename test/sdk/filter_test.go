package sdk

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/executor"
	gohandler "github.com/aem-exec/aem-exec/handler"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/policy"
	"github.com/aem-exec/aem-exec/source"
	"github.com/aem-exec/aem-exec/supervisor"
)

// confinedRole makes this test binary the handler in Go that testdata/confined.c is in C.
const confinedRole = "AEM_TEST_CONFINED"

func confined() {
	go func() { select {} }() // and the threads of the runtime
	gohandler.Run(func(_ context.Context, e *gohandler.Event) error {
		actions := map[string]func() error{"open": opens, "socket": sockets, "fork": forks, "thread": inThread}
		action, _, _ := strings.Cut(string(e.Data), "\x00") // what follows only makes the event larger
		err := actions[action]()
		var errno syscall.Errno
		errors.As(err, &errno)
		return e.Reply([]byte(strconv.Itoa(int(errno))))
	})
	os.Exit(0)
}

func opens() error {
	fd, err := syscall.Open("/etc/passwd", syscall.O_RDONLY, 0)
	if err == nil {
		syscall.Close(fd)
	}
	return err
}

func sockets() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.Close(fd)
	}
	return err
}

func forks() error {
	pid, err := syscall.ForkExec("/bin/true", []string{"true"}, nil)
	if err == nil {
		_, err = syscall.Wait4(pid, nil, 0, nil)
	}
	return err
}

// inThread opens a file on a thread that is not the one of the handler.
func inThread() error {
	result := make(chan error)
	go func() { result <- opens() }()
	return <-result
}

// twoStages is an app whose handlers begin under one built-in profile, and go on under another one.
func twoStages(t *testing.T, first, ready string) func(*supervisor.App) {
	t.Helper()
	return func(a *supervisor.App) {
		var err error
		if first != "" {
			a.Seccomp, err = policy.Builtin(first, policy.First)
			check(t, err)
		}
		a.SeccompReady, err = policy.Builtin(ready, policy.Ready)
		check(t, err)
	}
}

// confinedLanguages are the languages that the handler is there in.
var confinedLanguages = []struct {
	language
	command func(t *testing.T) []string
}{
	{c, func(t *testing.T) []string { return cCommand(t, confinedC) }},
	{python, confinedPython},
	{language{name: "go"}, func(*testing.T) []string { return []string{"/proc/self/exe"} }},
}

// confinedPython is the interpreter itself: what is called python3 may be a script that chooses one, for which the profile
// handler has no room.
func confinedPython(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output()
	check(t, err)
	return []string{strings.TrimSpace(string(out)), absolute(t, "testdata/confined.py")}
}

// confinedHandler is a handler in one of them.
func confinedHandler(t *testing.T, life executor.Life, command []string) executor.Spec {
	h := handler(t, life, command)
	h.Env[confinedRole] = "1"
	h.Retries = 0
	return h
}

// TestSecondFilter_R096 has handlers in three languages do, for an event, what they may not do from readiness on, on their
// own thread and on others, and what they may.
func TestSecondFilter_R096(t *testing.T) {
	const denied = "1" // EPERM
	for _, l := range confinedLanguages {
		for _, first := range []string{policy.Default, policy.Handler, ""} {
			for _, life := range []executor.Life{executor.Cold, executor.Capsule, executor.Resident} {
				t.Run(strings.Join([]string{l.name, first, string(life)}, " "), func(t *testing.T) {
					aemtest.Require(t, l.needs...)
					c := run(t, source.Topic{Name: "a/e"}, confinedHandler(t, life, l.command(t)), twoStages(t, first, policy.Handler))
					for _, action := range []string{"open", "socket", "fork", "thread", "open"} {
						if fate := c.emit([]byte(action)); fate.Outcome != "done" || string(fate.Reply) != denied {
							t.Errorf("%s: %s, answer %s, want done and %s", action, fate.Outcome, fate.Reply, denied)
						}
					}
				})
			}
		}
	}
}

// TestArenaGrowsUnderSecondFilter_R096 has events that are larger than the arena come when the second filter is there, which has
// to leave a handler the memory for them.
func TestArenaGrowsUnderSecondFilter_R096(t *testing.T) {
	for _, l := range confinedLanguages {
		for _, life := range []executor.Life{executor.Capsule, executor.Resident} {
			for _, way := range []executor.Copy{executor.DirectCopy, executor.SharedCopy} {
				t.Run(strings.Join([]string{l.name, string(life), string(way)}, " "), func(t *testing.T) {
					aemtest.Require(t, l.needs...)
					h := confinedHandler(t, life, l.command(t))
					h.Size, h.Copy, h.ArenaSize, h.ArenaMax = 1, way, 64<<10, 16<<20
					c := run(t, source.Topic{Name: "a/e"}, h, twoStages(t, policy.Default, policy.Handler))
					for _, size := range []int{4, 1 << 20, 4, 4 << 20} {
						data := append([]byte("open"), make([]byte, size-4)...)
						if fate := c.emit(data); fate.Outcome != "done" || string(fate.Reply) != "1" {
							t.Errorf("%d bytes: %+v, want done and 1", size, fate)
						}
					}
					a := ask[[]control.Lookup](c, control.Request{Op: control.OpLookup, All: true})[0].Arena
					if life == executor.Resident && a.Grown == 0 {
						t.Errorf("no arena grew: %+v", a)
					}
				})
			}
		}
	}
}

// TestTracebackUnderSecondFilter has a Python handler raise what nobody expects, where no file can be opened any more.
func TestTracebackUnderSecondFilter(t *testing.T) {
	aemtest.Require(t, python.needs...)
	c := run(t, source.Topic{Name: "a/e"}, confinedHandler(t, executor.Resident, confinedPython(t)),
		twoStages(t, policy.Default, policy.Handler))
	if fate := c.emit([]byte("raise")); fate.Outcome != "failed" || fate.Reason != "handler" {
		t.Errorf("fate %s %s, want failed handler", fate.Outcome, fate.Reason)
	}
	if letter := c.lastLetter(); !strings.Contains(letter.Failure, "KeyError: 'raise'") {
		t.Errorf("failure %q, want the traceback", letter.Failure)
	}
}

// TestSecondFilterIsAskedFor_R096 has handlers that do not install it: they get no event.
func TestSecondFilterIsAskedFor_R096(t *testing.T) {
	for _, test := range []struct {
		name    string
		needs   []aemtest.Feature
		command func(t *testing.T) []string
		want    string
	}{
		{"an SDK that knows nothing of it", perl.needs, func(t *testing.T) []string { return perl.command(t, "testdata/handler.pl") },
			"the handler did not install the second filter: its SDK knows nothing of policy.seccomp_ready"},
		{"a thread without it", c.needs, func(t *testing.T) []string { return cCommand(t, halfConfinedC) },
			"the second filter is missing: thread "},
	} {
		t.Run(test.name, func(t *testing.T) {
			aemtest.Require(t, test.needs...)
			h := confinedHandler(t, executor.Cold, test.command(t))
			c := run(t, source.Topic{Name: "a/e"}, h, twoStages(t, policy.Default, policy.Handler))
			if fate := c.emit([]byte("open")); fate.Outcome != "failed" || fate.Reason != "hello" && fate.Reason != "channel" {
				t.Errorf("fate %s %s, want failed", fate.Outcome, fate.Reason)
			}
			if letter := c.lastLetter(); !strings.Contains(letter.Failure, test.want) {
				t.Errorf("failure %q, want %q in it", letter.Failure, test.want)
			}
		})
	}
}
