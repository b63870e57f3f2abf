package spawn

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// helperEnv makes the test binary, executed again, a supervisor of another kind: it makes one process of helpers.
const helperEnv = "AEM_TEST_SPAWN"

var helpers = map[string]struct {
	spec   Spec
	script string
}{
	"other user":   {Spec{Identity: &Identity{UID: 1002, GID: 1001}}, ""},
	"other group":  {Spec{Identity: &Identity{UID: 1001, GID: 1002}}, ""},
	"other groups": {Spec{Identity: &Identity{UID: 1001, GID: 1001, Groups: []uint32{1002}}}, ""},
	"nicer":        {Spec{Scheduling: Scheduling{Nice: new(-5)}}, ""},
	"same": {Spec{Identity: &Identity{UID: 1001, GID: 1001}, DropCaps: true, NoNewPrivs: true},
		status("Uid", "CapPrm", "NoNewPrivs")},
	"inherited": {Spec{}, "ulimit -Sn; " + status("SigIgn")},
	"bare main": {Spec{DropCaps: true, NoNewPrivs: true}, status("CapBnd")},
}

// helper prints what the process printed, or why it was not made.
func helper() int {
	if bareMain {
		giveUpBounding()
	}
	h := helpers[os.Getenv(helperEnv)]
	spec, vars := shell(h.script)
	h.spec.Path, h.spec.Umask = spec.Path, spec.Umask
	vars.FDs = []int{-1, 1, 1}
	if err := makeOne(h.spec, vars); err != nil {
		fmt.Println(err)
	}
	return 0
}

// bareMain is that mode. Variables get their values on the main thread, and who locks it then stays there.
var bareMain = func() bool {
	bare := os.Getenv(helperEnv) == "bare main"
	if bare {
		runtime.LockOSThread()
	}
	return bare
}()

// giveUpBounding leaves the main thread as a lane does that ran on it.
func giveUpBounding() {
	if sys.Gettid() != os.Getpid() {
		fmt.Println("not the main thread")
	}
	for c := range 64 {
		sys.DropBounding(c) //nolint:errcheck // there are not so many
	}
}

func makeOne(spec Spec, vars Vars) error {
	plan, err := Compile(spec)
	if err != nil {
		return err
	}
	stage, err := NewStage(1)
	if err != nil {
		return err
	}
	defer stage.Close()
	lane, err := stage.NewLane(1, nil)
	if err != nil {
		return err
	}
	defer lane.Close()
	made := make(chan error, 1)
	if !lane.Submit(func(m *Maker) {
		m.DropBounding(0) //nolint:errcheck // who may not does not have to
		child, err := m.Spawn(plan, vars)
		if err == nil {
			_, _, err = sys.WaitPIDFD(child.PIDFD, false)
		}
		made <- err
	}) {
		return errors.New("the lane refused a spawn")
	}
	return <-made
}

// A process without privileges may not become somebody else; to stay who it is, nothing is asked of the kernel.
func TestIdentityWithoutPrivileges(t *testing.T) {
	aemtest.Require(t, aemtest.Root) // to become a user without any
	lane := newLane(t)
	for mode, want := range map[string]string{
		"other user":   "make process: setresuid: operation not permitted",
		"other group":  "make process: setresgid: operation not permitted",
		"other groups": "make process: setgroups: operation not permitted (want root, to run as another user or with other groups)",
		"nicer":        "make process: nice: permission denied (want CAP_SYS_NICE or a higher RLIMIT_NICE)",
		"same":         "Uid: 1001 1001 1001 1001\nCapPrm: 0000000000000000\nNoNewPrivs: 1",
	} {
		t.Run(mode, func(t *testing.T) {
			spec := Spec{Path: "/proc/self/exe", Umask: -1, Identity: &Identity{UID: 1001, GID: 1001}}
			vars := Vars{Args: []string{"spawn.test"}, Env: []string{helperEnv + "=" + mode, "GORACE=atexit_sleep_ms=0"}}
			if got := output(t, lane, spec, vars); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// Neither the limit that the Go runtime raised nor what the supervisor was told to ignore reaches a program.
func TestLimitAndSignalsOfTheStart(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", `trap '' HUP; ulimit -Sn 100; exec "$0"`, os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"=inherited", "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("run self: %v\n%s", err, out)
	}
	if got, want := strings.TrimSpace(string(out)), "100\nSigIgn: 0000000000000000"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestMainThreadThatWasALane has a lane begin when the main thread has no bounding set any more: its own is there still.
func TestMainThreadThatWasALane(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"=bare main", "GORACE=atexit_sleep_ms=0")
	if out, err := cmd.CombinedOutput(); string(out) != "CapBnd: 0000000000000000\n" {
		t.Errorf("%v: %s", err, out)
	}
}

// setMask sets the signal mask of the calling thread.
func setMask(set uint64) {
	syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, sys.SIG_SETMASK, address(&set), 0, sys.SigsetSize, 0, 0)
}

// openLane makes a lane; its test closes it.
func openLane(t testing.TB, s *Stage, queue int) *Lane {
	t.Helper()
	l, err := s.NewLane(queue, nil)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
