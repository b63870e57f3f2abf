package handler

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/directcopy"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// TestMain runs the tests, or, started by one of them, the handler program that it named.
func TestMain(m *testing.M) {
	if name := os.Getenv("AEM_TEST_PROGRAM"); name != "" {
		programs[name]()
		os.Exit(0)
	}
	aemtest.NoLeaks(m)
}

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// agent is a handler process and the supervisor's end of it.
type agent struct {
	t      testing.TB
	box    *directcopy.Mailbox
	cmd    *exec.Cmd
	stderr strings.Builder
	poll   int
}

// arena is a handler's arena that stays as it is.
func arena(size int) directcopy.Options { return directcopy.Options{ArenaSize: size} }

// start makes a handler process, as a supervisor does.
func start(t testing.TB, program string, o directcopy.Options) *agent {
	t.Helper()
	box, err := directcopy.NewMailbox(o)
	check(t, err)
	a := &agent{t: t, box: box, cmd: exec.Command(os.Args[0])}
	a.cmd.Env = append(os.Environ(), "AEM_TEST_PROGRAM="+program, "GORACE=atexit_sleep_ms=0")
	a.cmd.Env = append(a.cmd.Env, o.Environment()...)
	a.cmd.Stderr = &a.stderr
	for _, fd := range box.Handler() {
		own, err := sys.Dup(fd, 0)
		check(t, err)
		a.cmd.ExtraFiles = append(a.cmd.ExtraFiles, os.NewFile(uintptr(own), "handler"))
	}
	check(t, a.cmd.Start())
	for _, f := range a.cmd.ExtraFiles {
		f.Close()
	}
	box.CloseHandler()
	a.poll, err = sys.EpollCreate()
	check(t, err)
	check(t, sys.EpollAdd(a.poll, box.Channel(), sys.EPOLLIN|sys.EPOLLRDHUP, 0))
	check(t, sys.EpollAdd(a.poll, box.AnswersFD(), sys.EPOLLIN|sys.EPOLLET, 1))
	t.Cleanup(a.close)
	return a
}

// prove goes through a hello.
func (a *agent) prove() {
	a.t.Helper()
	for {
		a.wait()
		progress, err := a.box.Receive()
		if err != nil {
			a.t.Fatalf("%v; the handler wrote: %s", err, a.stderr.String())
		}
		switch progress {
		case directcopy.Greeted:
			check(a.t, a.box.Prove(a.cmd.Process.Pid))
		case directcopy.Proved:
			return
		}
	}
}

// ready is start and the hello.
func ready(t testing.TB, program string, o directcopy.Options) *agent {
	t.Helper()
	a := start(t, program, o)
	a.prove()
	return a
}

// wait waits until the handler is heard of.
func (a *agent) wait() {
	a.t.Helper()
	var events [2]sys.EpollEvent
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); { // a signal ends a wait early
		n, err := sys.EpollWait(a.poll, events[:], patience)
		check(a.t, err)
		if n > 0 {
			return
		}
	}
	a.t.Fatalf("the handler is silent; it wrote: %s", a.stderr.String())
}

func (a *agent) close() {
	sys.Close(a.poll)
	a.box.Close()
	if a.cmd.ProcessState == nil {
		a.cmd.Process.Kill()
		a.cmd.Wait()
	}
}

// exit waits for the end of the process and returns its status.
func (a *agent) exit() int {
	a.cmd.Wait()
	return a.cmd.ProcessState.ExitCode()
}

// put publishes blocks; how many went is returned.
func (a *agent) put(fd int, blocks ...directcopy.Block) int {
	a.t.Helper()
	r, err := a.box.Reserve(blocks)
	if errors.Is(err, directcopy.ErrGrow) {
		if err = a.box.Grow(blocks[0].Size()); err == nil {
			a.prove()
			r, err = a.box.Reserve(blocks)
		}
	}
	if errors.Is(err, directcopy.ErrFull) {
		return 0
	}
	check(a.t, err)
	n := r.Len()
	check(a.t, r.Copy(a.cmd.Process.Pid))
	check(a.t, r.Publish(fd))
	return n
}

// answers waits until n answers came.
func (a *agent) answers(n int) []directcopy.Answer {
	a.t.Helper()
	got, err := a.box.Answers(nil)
	check(a.t, err)
	for len(got) < n {
		a.wait()
		_, end := a.box.Receive()
		got, err = a.box.Answers(got) // after it: those that came before the end
		check(a.t, err)
		if end != nil && len(got) < n {
			a.t.Fatalf("%d of %d answers, then %v; the handler wrote: %s", len(got), n, end, a.stderr.String())
		}
	}
	return got
}

// end waits for the end of the channel.
func (a *agent) end() {
	a.t.Helper()
	for {
		_, err := a.box.Receive()
		if err == io.EOF {
			return
		}
		check(a.t, err)
		a.wait()
	}
}

func (a *agent) signal(s syscall.Signal) { check(a.t, a.cmd.Process.Signal(s)) }

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
