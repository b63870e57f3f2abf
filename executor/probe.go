package executor

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/aem-exec/aem-exec/directcopy"
	"github.com/aem-exec/aem-exec/internal/spawn"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// probed is a program that every host has and that does nothing for long enough.
const probed = "/bin/sleep"

// ProbeDirect finds out whether this host lets us write into the memory of the app's handlers, by making a process as
// they are made and writing to address 0 of it: permission is checked first, so that EFAULT means yes (man 2
// process_vm_writev), once its memory is no longer ours. A host without the program to probe with answers at the first hello.
func (w *Workplace) ProbeDirect() error {
	if executable(probed) != nil {
		return nil
	}
	spec := Spec{Exec: []string{probed, "60"}, Dir: "/", Umask: -1}
	plan, err := spawn.Compile((&processes{path: probed, pool: &Pool{spec: spec}, work: &Workplace{
		Account: w.Account, Keep: w.Keep, UserNamespace: w.UserNamespace,
	}}).spawnSpec())
	if err != nil {
		return err
	}
	answer := make(chan error, 1)
	w.Lane.Submit(func(m *spawn.Maker) { answer <- probe(m, plan, spec.Exec) })
	return <-answer
}

func probe(m *spawn.Maker, plan *spawn.Plan, argv []string) error {
	child, err := m.Spawn(plan, spawn.Vars{Args: argv, Cgroup: -1})
	if err != nil {
		return fmt.Errorf("probe direct copy: %w", err)
	}
	defer sys.Close(child.PIDFD)
	if err = m.Settle(child.PID); err == nil {
		_, err = directcopy.Write(child.PID, 0, [][]byte{{0}})
	}
	sys.PidfdSendSignal(child.PIDFD, syscall.SIGKILL) //nolint:errcheck // it may have ended by itself
	sys.WaitPIDFD(child.PIDFD, false)                 //nolint:errcheck // nothing else waits for it
	if errors.Is(err, syscall.EFAULT) {
		return nil
	}
	return fmt.Errorf("handover \"direct\" needs to write into handlers' memory, which this host refuses: %w "+
		"(root: CAP_SYS_PTRACE, and kernel.yama.ptrace_scope at most 2; another user: at most 1)", err)
}
