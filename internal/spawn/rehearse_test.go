package spawn

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// rehearse rehearses a spec on a lane.
func (l *Lane) rehearse(t *testing.T, s Spec) error {
	t.Helper()
	plan, err := Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	l.Submit(func(m *Maker) { done <- m.Rehearse(plan, Vars{Cgroup: -1}) })
	return <-done
}

// TestRehearsalTakesEveryStepButTheLast has a program that would leave a trace, in a folder that is not there yet.
func TestRehearsalTakesEveryStepButTheLast(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	trace := filepath.Join(t.TempDir(), "trace")
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n: >"+trace), 0o755); err != nil {
		t.Fatal(err)
	}
	lane := newLane(t)
	spec := Spec{
		Path: program, Dir: "/not/there/yet", Umask: -1, Identity: &Identity{UID: 1001, GID: 1001}, DropCaps: true, NoNewPrivs: true,
		Scheduling: Scheduling{Nice: new(3), OOMScoreAdj: new(5)}, Filter: answer(syscall.SYS_UMASK, retErrno|99),
	}
	if err := lane.rehearse(t, spec); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(trace); err == nil {
		t.Error("the program ran")
	}
	spec.Rlimits = []Rlimit{{syscall.RLIMIT_NOFILE, 1 << 40, 1 << 40}}
	wantStep(t, lane.rehearse(t, spec), StepError{Step: "prlimit", Errno: syscall.EPERM})
	spec.Rlimits, spec.Filter = nil, &Filter{Insns: []sys.SockFilter{{}}}
	wantStep(t, lane.rehearse(t, spec), StepError{Step: "seccomp", Errno: syscall.EINVAL})
	spec.Filter = answer(syscall.SYS_EXIT_GROUP, retKill)
	wantStep(t, lane.rehearse(t, spec), StepError{Step: performed, Signal: syscall.SIGSYS})
}
