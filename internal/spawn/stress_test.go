package spawn

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// small builds a program that starts fast and exits with its argument.
func small(t testing.TB) string {
	t.Helper()
	aemtest.Require(t, aemtest.CC)
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} { // another user runs it
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path, err := aemtest.CProgram(dir, "testdata/small.c", "cc", "-O1", "-static")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Four lanes make processes that must each get their own arguments, every other one failing, while the collector runs.
func TestSpawnsUnderGarbageCollection(t *testing.T) {
	const lanes = 4
	spawns := aemtest.Few(1000)
	spec := Spec{Path: small(t), Umask: -1, NoNewPrivs: true, Filter: answer(syscall.SYS_UMASK, retErrno)}
	good, err := Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	spec.Path = "/no/such/program"
	bad, err := Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var collector sync.WaitGroup
	collector.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC()
			}
		}
	})
	stage, err := NewStage(2)
	if err != nil {
		t.Fatal(err)
	}
	defer stage.Close()
	all := make([]*Lane, lanes)
	for i := range all {
		all[i] = openLane(t, stage, 1)
		all[i].Submit(func(m *Maker) {
			for n := range spawns / 2 {
				spawnBoth(t, m, good, bad, n%128)
			}
		})
	}
	for _, lane := range all {
		lane.Close()
	}
	close(stop)
	collector.Wait()
}

func spawnBoth(t *testing.T, m *Maker, good, bad *Plan, code int) {
	garbage := make([][]byte, 8) // for the collector to free around the list
	for i := range garbage {
		garbage[i] = make([]byte, 512)
	}
	vars := Vars{Args: []string{"small", strconv.Itoa(code)}, FDs: []int{-1, 1, 2}}
	child, err := m.Spawn(good, vars)
	if err != nil {
		t.Error(err)
		return
	}
	exit, _, err := sys.WaitPIDFD(child.PIDFD, false)
	sys.Close(child.PIDFD)
	if err != nil || exit != (sys.Exit{Code: code}) {
		t.Errorf("got %+v, %v, want code %d", exit, err, code)
	}
	var failed *StepError
	if _, err := m.Spawn(bad, vars); !errors.As(err, &failed) || failed.Step != "execve" {
		t.Errorf("got %v, want a failed execve", err)
	}
}
