package sdk

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

// agent is a handler process and the supervisor's end of it, without a supervisor.
type agent struct {
	t      testing.TB
	box    *directcopy.Mailbox
	cmd    *exec.Cmd
	stderr strings.Builder
	poll   int
}

// arena is a handler's arena that stays as it is.
func arena(size int) directcopy.Options { return directcopy.Options{ArenaSize: size} }

// start makes a handler process, as a supervisor does. forge may spoil its control page.
func start(t testing.TB, command []string, o directcopy.Options, forge func(page int)) *agent {
	t.Helper()
	box, err := directcopy.NewMailbox(o)
	check(t, err)
	a := &agent{t: t, box: box, cmd: exec.Command(command[0], command[1:]...)}
	a.cmd.Env = append(os.Environ(), o.Environment()...)
	for name, value := range environment(t) {
		a.cmd.Env = append(a.cmd.Env, name+"="+value)
	}
	a.cmd.Stderr = &a.stderr
	if forge != nil {
		forge(box.Handler()[1])
	}
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
func ready(t testing.TB, command []string, o directcopy.Options) *agent {
	t.Helper()
	a := start(t, command, o, nil)
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
	a.t.Fatal("the handler is silent")
}

func (a *agent) close() {
	sys.Close(a.poll)
	a.box.Close()
	if a.cmd.ProcessState == nil {
		a.cmd.Process.Kill()
		a.cmd.Wait()
	}
}

// answered reads into dst until n answers came, and looks at nothing else.
func (a *agent) answered(dst []directcopy.Answer, n int) []directcopy.Answer {
	a.t.Helper()
	for dst = dst[:0]; len(dst) < n; {
		a.wait()
		var err error
		dst, err = a.box.Answers(dst)
		check(a.t, err)
	}
	return dst
}

// exit waits for the end of the process and wants this status of it.
func (a *agent) exit(want int) {
	a.t.Helper()
	a.cmd.Wait()
	if got := a.cmd.ProcessState.ExitCode(); got != want {
		a.t.Errorf("exit status %d, want %d; the handler wrote: %s", got, want, a.stderr.String())
	}
}

// put publishes as many blocks as have room, and returns how many.
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

// drain goes through what a handler that ends still says.
func (a *agent) drain() {
	a.t.Helper()
	for {
		progress, err := a.box.Receive()
		if err == io.EOF {
			return
		}
		if progress == directcopy.Greeted {
			a.box.Prove(a.cmd.Process.Pid) //nolint:errcheck // it may be gone by now
		}
		a.wait()
	}
}

// connect publishes an event with one end of a socket pair and returns the other.
func (a *agent) connect(b directcopy.Block) *os.File {
	a.t.Helper()
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	check(a.t, err)
	if a.put(ends[1], b) != 1 {
		a.t.Fatal("no room for an event")
	}
	sys.Close(ends[1])
	conn := os.NewFile(uintptr(ends[0]), "client")
	a.t.Cleanup(func() { conn.Close() })
	return conn
}
