// Package agenttest plays the supervisor of one handler process, so that what handlers are written with can be tested
// without a supervisor. It is imported by tests only, and decides nothing: what it does a test asked for.
package agenttest

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
	"github.com/aem-exec/aem-exec/internal/sys"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// Agent is a handler process and the supervisor's end of it. A method that cannot do what it says ends the test.
type Agent struct {
	Box *directcopy.Mailbox
	Cmd *exec.Cmd

	t      testing.TB
	app    bool            // the handler says where events land
	zygote bool            // it forks for them
	stderr strings.Builder // whole when Cmd was waited for
	poll   int
}

// New makes an agent whose process has not begun. The command's environment gets what tells a handler where it is.
func New(t testing.TB, cmd *exec.Cmd, o directcopy.Options) *Agent {
	t.Helper()
	a := &Agent{Cmd: cmd, t: t, app: o.AppAlloc, zygote: o.Zygote, poll: -1}
	var err error
	a.Box, err = directcopy.NewMailbox(o)
	a.check(err)
	t.Cleanup(a.close)
	cmd.Env = append(cmd.Environ(), o.Environment()...)
	cmd.Stderr = &a.stderr
	return a
}

// Start begins the process, as a supervisor does.
func (a *Agent) Start() {
	a.t.Helper()
	for _, fd := range a.Box.Handler() {
		own, err := sys.Dup(fd, 0)
		a.check(err)
		file := os.NewFile(uintptr(own), "handler")
		defer file.Close()
		a.Cmd.ExtraFiles = append(a.Cmd.ExtraFiles, file)
	}
	a.check(a.Cmd.Start())
	a.Box.CloseHandler()
	var err error
	a.poll, err = sys.EpollCreate()
	a.check(err)
	a.check(sys.EpollAdd(a.poll, a.Box.Channel(), sys.EPOLLIN|sys.EPOLLRDHUP, 0))
	a.check(sys.EpollAdd(a.poll, a.Box.AnswersFD(), sys.EPOLLIN|sys.EPOLLET, 1))
}

// Ready is New, Start and the hello.
func Ready(t testing.TB, cmd *exec.Cmd, o directcopy.Options) *Agent {
	t.Helper()
	a := New(t, cmd, o)
	a.Start()
	a.Prove()
	return a
}

// Prove goes through a hello.
func (a *Agent) Prove() {
	a.t.Helper()
	a.until(directcopy.Proved)
}

// until receives until the handler has come so far.
func (a *Agent) until(want directcopy.Progress) {
	a.t.Helper()
	for {
		progress, err := a.Box.Receive()
		if err != nil {
			a.fatal(err.Error())
		}
		if progress == directcopy.Nothing {
			a.wait()
		}
		if progress == directcopy.Greeted {
			a.check(a.Box.Prove(a.Cmd.Process.Pid))
		}
		if progress == want {
			return
		}
	}
}

// Child receives until one of a zygote's children has come so far.
func (a *Agent) Child(want directcopy.Progress) directcopy.Child {
	a.t.Helper()
	a.until(want)
	return a.Box.Child()
}

// wait waits until the handler is heard of.
func (a *Agent) wait() {
	a.t.Helper()
	var events [2]sys.EpollEvent
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); { // a signal ends a wait early
		n, err := sys.EpollWait(a.poll, events[:], patience)
		a.check(err)
		if n > 0 {
			return
		}
	}
	a.fatal("the handler is silent")
}

// fatal ends the test with what the handler wrote.
func (a *Agent) fatal(why string) {
	a.t.Helper()
	a.kill()
	a.t.Fatalf("%s; the handler wrote: %s", why, a.stderr.String())
}

func (a *Agent) kill() {
	if a.Cmd.Process != nil && a.Cmd.ProcessState == nil {
		a.Cmd.Process.Kill() //nolint:errcheck // it may have ended
		a.Cmd.Wait()         //nolint:errcheck // it was killed
	}
}

func (a *Agent) close() {
	if a.poll >= 0 {
		sys.Close(a.poll)
	}
	a.Box.Close()
	a.kill()
}

// Wait waits for the end of the process, and returns its status and what it wrote to standard error.
func (a *Agent) Wait() (status int, stderr string) {
	a.Cmd.Wait() //nolint:errcheck // the status tells
	return a.Cmd.ProcessState.ExitCode(), a.stderr.String()
}

// Exit is Wait, and wants this status.
func (a *Agent) Exit(want int) (stderr string) {
	a.t.Helper()
	got, stderr := a.Wait()
	if got != want {
		a.t.Errorf("exit status %d, want %d; the handler wrote: %s", got, want, stderr)
	}
	return stderr
}

// Signal sends the process a signal.
func (a *Agent) Signal(s syscall.Signal) {
	a.t.Helper()
	a.check(a.Cmd.Process.Signal(s))
}

// Put publishes as many blocks as have room, and returns how many. Where the arena is too small for the first it grows.
func (a *Agent) Put(fd int, blocks ...directcopy.Block) int {
	a.t.Helper()
	if a.app {
		_, n, err := a.Box.Ask(blocks)
		a.check(err)
		a.until(directcopy.Placed)
		blocks = blocks[:n]
	}
	r, err := a.Box.Reserve(blocks)
	if errors.Is(err, directcopy.ErrGrow) {
		if err = a.Box.Grow(blocks[0].Size()); err == nil {
			a.Prove()
			r, err = a.Box.Reserve(blocks)
		}
	}
	if errors.Is(err, directcopy.ErrFull) {
		return 0
	}
	a.check(err)
	n := r.Len()
	a.check(r.Copy(a.Cmd.Process.Pid))
	a.check(a.publish(r, fd))
	return n
}

// publish has a zygote's children write to where the test does.
func (a *Agent) publish(r *directcopy.Reservation, fd int) error {
	if !a.zygote {
		return r.Publish(fd)
	}
	fds := make([][]int, r.Len())
	for i := range fds {
		if fds[i] = []int{syscall.Stderr, syscall.Stderr}; fd >= 0 {
			fds[i] = append(fds[i], fd)
		}
	}
	return r.PublishEach(fds)
}

// Connect publishes an event with one end of a pair of sockets, and returns the other.
func (a *Agent) Connect(b directcopy.Block) *os.File {
	a.t.Helper()
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	a.check(err)
	ours := os.NewFile(uintptr(ends[0]), "client")
	a.t.Cleanup(func() { ours.Close() })
	n := a.Put(ends[1], b)
	sys.Close(ends[1])
	if n != 1 {
		a.t.Fatal("no room for an event")
	}
	return ours
}

// Answers waits until n answers came.
func (a *Agent) Answers(n int) []directcopy.Answer {
	a.t.Helper()
	got, err := a.Box.Answers(nil)
	a.check(err)
	for len(got) < n {
		a.wait()
		_, end := a.Box.Receive()
		got, err = a.Box.Answers(got) // after it: those that came before the end
		a.check(err)
		if end != nil && len(got) < n {
			a.t.Errorf("%d of %d answers", len(got), n)
			a.fatal(end.Error())
		}
	}
	return got
}

// Answered reads into dst until n answers came, and looks at nothing else.
func (a *Agent) Answered(dst []directcopy.Answer, n int) []directcopy.Answer {
	a.t.Helper()
	for dst = dst[:0]; len(dst) < n; {
		a.wait()
		var err error
		dst, err = a.Box.Answers(dst)
		a.check(err)
	}
	return dst
}

// End goes through what a handler that ends still says, until the channel ends.
func (a *Agent) End() {
	a.t.Helper()
	for {
		progress, err := a.Box.Receive()
		if errors.Is(err, io.EOF) {
			return
		}
		a.check(err)
		if progress == directcopy.Greeted {
			a.Box.Prove(a.Cmd.Process.Pid) //nolint:errcheck // it may be gone by now
		}
		a.wait()
	}
}

func (a *Agent) check(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}
