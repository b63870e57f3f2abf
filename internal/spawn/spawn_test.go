package spawn

import (
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/sys"
)

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		os.Exit(helper())
	}
	aemtest.NoLeaks(m)
}

// newLane makes a stage and one lane on it, both closed with the test.
func newLane(t testing.TB) *Lane {
	t.Helper()
	stage, err := NewStage(2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stage.Close)
	lane := openLane(t, stage, 1)
	t.Cleanup(lane.Close)
	return lane
}

type result struct {
	Child
	err error
}

// start submits a spawn and returns where its result will be.
func (l *Lane) start(t testing.TB, s Spec, v Vars) <-chan result {
	t.Helper()
	plan, err := Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan result, 1)
	if !l.Submit(func(m *Maker) {
		child, err := m.Spawn(plan, v)
		done <- result{child, err}
	}) {
		t.Fatal("the lane refused a spawn")
	}
	return done
}

// reap waits for a child and closes its pidfd.
func reap(t testing.TB, c Child) sys.Exit {
	t.Helper()
	defer sys.Close(c.PIDFD)
	exit, ok, err := sys.WaitPIDFD(c.PIDFD, false)
	if err != nil || !ok {
		t.Fatalf("wait for %d: %v, ended %t", c.PID, err, ok)
	}
	return exit
}

// output runs a program with stdout and stderr on a pipe, and returns what it wrote there.
func output(t *testing.T, lane *Lane, s Spec, v Vars) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if v.FDs == nil {
		v.FDs = []int{-1, int(w.Fd()), int(w.Fd())}
	} else {
		v.FDs[1] = int(w.Fd())
	}
	made := <-lane.start(t, s, v)
	w.Close()
	if made.err != nil {
		t.Fatal(made.err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	reap(t, made.Child)
	return strings.TrimSpace(string(out))
}

// shell is a spec that changes nothing, and the arguments that have /bin/sh run a script.
func shell(script string) (Spec, Vars) {
	return Spec{Path: "/bin/sh", Umask: -1}, Vars{Args: []string{"sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"}}
}

func wantStep(t *testing.T, err error, want StepError) {
	t.Helper()
	var got *StepError
	if !errors.As(err, &got) {
		t.Fatalf("got error %v, want a *StepError", err)
	}
	if *got != want {
		t.Errorf("got %+v, want %+v", *got, want)
	}
	if want.Errno != 0 && !errors.Is(err, want.Errno) {
		t.Errorf("%v is not %v", err, want.Errno)
	}
}

func openFile(t testing.TB, path string, flags int) int {
	t.Helper()
	fd, err := syscall.Open(path, flags|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("open %s: %v", path, err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	return fd
}
