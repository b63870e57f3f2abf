package spawn

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// hierarchy is where a cgroup hierarchy is mounted, on hybrid hosts or on hosts of its version only.
type hierarchy []string

var (
	unified = hierarchy{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"}
	pids    = hierarchy{"/sys/fs/cgroup/pids"}
	memory  = hierarchy{"/sys/fs/cgroup/memory"}
)

func (h hierarchy) root() (string, error) {
	for _, dir := range h {
		if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("nothing mounted at %s", strings.Join(h, " or "))
}

// group is a cgroup of the test's own.
type group struct{ dir string }

// newGroup makes a group that is removed with the test, which must leave it empty.
func (h hierarchy) newGroup(t *testing.T) group {
	t.Helper()
	mounted := aemtest.Feature{Name: "cgroup " + h[0], Probe: func() error {
		_, err := h.root()
		return err
	}}
	if len(h) == 1 {
		mounted.Where = aemtest.HostOnly
	}
	aemtest.Require(t, aemtest.Root, mounted)
	root, _ := h.root()
	dir, err := os.MkdirTemp(root, "aem-spawn-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	return group{dir}
}

func (g group) open(t *testing.T, file string, flags int) int {
	return openFile(t, filepath.Join(g.dir, file), flags)
}

func (g group) write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(g.dir, file), []byte(text), 0); err != nil {
		t.Error(err)
	}
}

// await returns when a process is in the group.
func (g group) await(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(aemtest.Slow(5 * time.Second)); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if procs, _ := os.ReadFile(filepath.Join(g.dir, "cgroup.procs")); len(procs) > 0 {
			return
		}
	}
	t.Fatal("no process came into the group")
}

// awaitEmpty returns when no process is left in the group.
func (g group) awaitEmpty(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(aemtest.Slow(5 * time.Second)); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if procs, err := os.ReadFile(filepath.Join(g.dir, "cgroup.procs")); err == nil && len(procs) == 0 {
			return
		}
	}
	t.Fatal("the group does not get empty")
}

// freeze makes the group one in which nothing runs, and thaws it with the test.
func (g group) freeze(t *testing.T) (thaw func()) {
	g.write(t, "cgroup.freeze", "1")
	thaw = func() { g.write(t, "cgroup.freeze", "0") }
	t.Cleanup(thaw)
	return thaw
}

func TestBornInGroup(t *testing.T) {
	g := unified.newGroup(t)
	spec, vars := shell("cat /proc/self/cgroup")
	vars.Cgroup = g.open(t, ".", syscall.O_DIRECTORY)
	wantMember(t, output(t, newLane(t), spec, vars), "0::/"+filepath.Base(g.dir))
}

func TestJoinsGroups(t *testing.T) {
	p, m := pids.newGroup(t), memory.newGroup(t)
	spec, vars := shell("cat /proc/self/cgroup")
	spec.Identity, spec.DropCaps, spec.NoNewPrivs = &Identity{UID: 1001, GID: 1001}, true, true // joined before
	vars.Join = []int{p.open(t, "tasks", os.O_WRONLY), m.open(t, "tasks", os.O_WRONLY)}
	got := output(t, newLane(t), spec, vars)
	wantMember(t, got, ":pids:/"+filepath.Base(p.dir))
	wantMember(t, got, ":memory:/"+filepath.Base(m.dir))
}

func wantMember(t *testing.T, got, want string) {
	t.Helper()
	if !strings.Contains(got+"\n", want+"\n") {
		t.Errorf("got\n%s\nwant a line ending in %s", got, want)
	}
}

func TestKilledBeforeTheFirstStep(t *testing.T) {
	g := unified.newGroup(t)
	g.freeze(t)
	spec, vars := shell("")
	vars.Cgroup = g.open(t, ".", syscall.O_DIRECTORY)
	made := newLane(t).start(t, spec, vars)
	g.await(t)
	g.write(t, "cgroup.kill", "1")
	wantStep(t, (<-made).err, StepError{Step: "close_range", Signal: syscall.SIGKILL})
}

// A child that takes its time before execve keeps neither the garbage collector nor another lane waiting.
func TestHangingChildDelaysOnlyItsLane(t *testing.T) {
	g := unified.newGroup(t)
	thaw := g.freeze(t)
	hanging, other := twoLanes(t, 2)
	spec, vars := shell("exit 0")
	frozen := vars
	frozen.Cgroup = g.open(t, ".", syscall.O_DIRECTORY)
	late := hanging.start(t, spec, frozen)
	g.await(t)
	thawLater(t, g)

	start := time.Now()
	for range 3 {
		runtime.GC()
	}
	wantSpawned(t, <-other.start(t, spec, vars))
	elapsed := time.Since(start)
	select {
	case made := <-late:
		t.Errorf("collections and a spawn took %v, until the hanging child was let go (%v)", elapsed, made.err)
		reap(t, made.Child)
		return
	default:
	}
	thaw()
	wantSpawned(t, <-late)
}

// thawLater thaws a group in a while, from outside: a runtime that waits for the child could not.
func thawLater(t *testing.T, g group) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", fmt.Sprintf("sleep %v; echo 0 >", aemtest.Slow(2*time.Second).Seconds())+g.dir+"/cgroup.freeze")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	})
}

// With fewer sets than lanes a spawn waits for a set, and gets the one given back.
func TestSpawnWaitsForASet(t *testing.T) {
	g := unified.newGroup(t)
	thaw := g.freeze(t)
	hanging, waiting := twoLanes(t, 1)
	spec, vars := shell("exit 0")
	frozen := vars
	frozen.Cgroup = g.open(t, ".", syscall.O_DIRECTORY)
	first := hanging.start(t, spec, frozen)
	g.await(t)
	second := waiting.start(t, spec, vars)
	select {
	case made := <-second:
		t.Errorf("a second spawn went on with the only set taken: %v", made.err)
		reap(t, made.Child)
		return
	default: // seldom early enough to see it; that it ends at all is the test
	}
	thaw()
	wantSpawned(t, <-first)
	wantSpawned(t, <-second)
}

// What the supervisor closes is closed, even while a child hangs before execve: the peer sees its end. This holds for
// a low descriptor of the supervisor, and for what other lanes staged in a set below or above the child's.
func TestHangingChildHoldsOnlyItsOwnDescriptors(t *testing.T) {
	low := newPipe(t) // before the stage: its numbers are below the sets
	below, above := newPipe(t), newPipe(t)
	laneA, laneB := twoLanes(t, 2)
	groupA, groupB := unified.newGroup(t), unified.newGroup(t)
	hang := func(lane *Lane, g group, fds ...int) (made <-chan result, thaw func()) {
		thaw = g.freeze(t)
		spec, vars := shell("exit 0")
		vars.FDs, vars.Join = fds, []int{g.open(t, "cgroup.procs", os.O_WRONLY)}
		made = lane.start(t, spec, vars)
		g.await(t)
		return made, thaw
	}
	first, thawFirst := hang(laneA, groupA, int(below.w.Fd())) // in the lower set
	second, thawSecond := hang(laneB, groupB, int(above.w.Fd()))
	low.wantEnd(t)

	thawFirst()
	wantSpawned(t, <-first)
	below.wantEnd(t) // while the second hangs

	third, thawThird := hang(laneA, groupA) // in the lower set again
	thawSecond()
	wantSpawned(t, <-second)
	above.wantEnd(t) // while the third hangs

	thawThird()
	wantSpawned(t, <-third)
}

type pipe struct{ r, w *os.File }

func newPipe(t *testing.T) pipe {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return pipe{r, w}
}

// wantEnd closes the writer and wants the reader to see it.
func (p pipe) wantEnd(t *testing.T) {
	t.Helper()
	p.w.Close()
	p.r.SetReadDeadline(time.Now().Add(aemtest.Slow(2 * time.Second)))
	if _, err := p.r.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want the end of the pipe", err)
	}
}

func twoLanes(t *testing.T, sets int) (*Lane, *Lane) {
	t.Helper()
	stage, err := NewStage(sets)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stage.Close)
	a, b := openLane(t, stage, 1), openLane(t, stage, 1)
	t.Cleanup(a.Close)
	t.Cleanup(b.Close)
	return a, b
}

func wantSpawned(t *testing.T, made result) {
	t.Helper()
	if made.err != nil {
		t.Fatal(made.err)
	}
	if exit := reap(t, made.Child); exit.Code != 0 || exit.Signal != 0 {
		t.Errorf("got %+v, want success", exit)
	}
}
