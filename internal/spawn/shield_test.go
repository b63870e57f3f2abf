package spawn

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/sys"
)

var lowerScores = aemtest.Feature{Name: "CAP_SYS_RESOURCE", Where: aemtest.GuestOnly, Probe: func() error {
	may, err := Shields()
	if err == nil && !may {
		err = errors.New("it was taken from the tests")
	}
	return err
}}

// A process that began shielded has the score it is to have when Spawn returns, and so has what it has forked by then.
func TestShieldIsTakenFromAllThatWasForked(t *testing.T) {
	aemtest.Require(t, aemtest.Root, lowerScores)
	for name, score := range map[string]*int{"0": nil, "500": new(500)} {
		t.Run(name, func(t *testing.T) {
			g := unified.newGroup(t)
			spec, vars := shell("i=0; while [ $i -lt 50 ]; do sleep 1000 & i=$((i+1)); done; wait")
			spec.Shield, spec.OOMScoreAdj = true, score
			vars.Cgroup = g.open(t, ".", syscall.O_DIRECTORY)
			made := <-newLane(t).start(t, spec, vars)
			if made.err != nil {
				t.Fatal(made.err)
			}
			procs, err := os.ReadFile(filepath.Join(g.dir, "cgroup.procs"))
			if err != nil || len(procs) == 0 {
				t.Errorf("no processes: %v", err)
			}
			for _, pid := range strings.Fields(string(procs)) {
				got, err := os.ReadFile(filepath.Join("/proc", pid, "oom_score_adj"))
				if err != nil || strings.TrimSpace(string(got)) != name {
					t.Errorf("process %s has the score %q, %v", pid, got, err)
				}
			}
			g.write(t, "cgroup.kill", "1")
			reap(t, made.Child)
			g.awaitEmpty(t)
		})
	}
}

// A process is in its group before its first step, and the kernel takes it for the largest there: it is shielded by then.
func TestShieldIsThereFromBirth(t *testing.T) {
	aemtest.Require(t, aemtest.Root, lowerScores)
	before, err := startScore()
	if err = errors.Join(err, ShieldSelf()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := GiveScore(os.Getpid()); err != nil {
			t.Error(err)
		}
	})
	g := unified.newGroup(t)
	thaw := g.freeze(t)
	spec, vars := shell("sleep 1000")
	spec.Shield, vars.Cgroup = true, g.open(t, ".", syscall.O_DIRECTORY)
	starting := newLane(t).start(t, spec, vars)
	g.await(t)
	pid, err := os.ReadFile(filepath.Join(g.dir, "cgroup.procs"))
	if err != nil {
		t.Fatal(err)
	}
	score := func(want string) {
		t.Helper()
		got, err := os.ReadFile(filepath.Join("/proc", strings.TrimSpace(string(pid)), "oom_score_adj"))
		if err != nil || strings.TrimSpace(string(got)) != want {
			t.Errorf("it has the score %q, %v; want %s", got, err, want)
		}
	}
	score(shieldScore)
	thaw()
	made := <-starting
	if made.err != nil {
		t.Fatal(made.err)
	}
	score(before)
	spec, other := shell("read score </proc/self/oom_score_adj; echo $score")
	if got := output(t, newLane(t), spec, other); got != before {
		t.Errorf("one that is not shielded has the score %s, want %s", got, before)
	}
	g.write(t, "cgroup.kill", "1")
	reap(t, made.Child)
	g.awaitEmpty(t)
}

func TestSharedMemoryIsSeen(t *testing.T) {
	spec, vars := shell("sleep 1000")
	made := <-newLane(t).start(t, spec, vars)
	if made.err != nil {
		t.Fatal(made.err)
	}
	defer reap(t, made.Child)
	defer sys.PidfdSendSignal(made.PIDFD, syscall.SIGKILL)
	m := new(Maker)
	if err := m.Settle(made.PID); err != nil {
		t.Error(err)
	}
	if m.shares(made.PID) || !m.shares(os.Getpid()) {
		t.Errorf("we share memory with another process: %t, with ourselves: %t", m.shares(made.PID), m.shares(os.Getpid()))
	}
}
