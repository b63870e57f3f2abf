package spawn

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"syscall"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// Maker makes the processes of one lane, in memory that it uses again for each. It is valid inside a function given to
// Lane.Submit, and only there.
type Maker struct {
	stage   *Stage
	list    list
	entered bool // the thread's children are born into the cell's pid namespace
}

// Spawn makes a process and returns when it has begun its program. If it never does, nothing is left of it, and the
// error is a *StepError. The descriptors in v stay the caller's.
func (m *Maker) Spawn(p *Plan, v Vars) (Child, error) {
	if err := v.check(); err != nil {
		return Child{}, err
	}
	child, err := m.make(p, &v, 0, nil)
	if c := m.list.cell; err != nil && c != nil && c.Ended() {
		err = fmt.Errorf("the app's namespaces are gone, their init was ended from outside: %w", err)
	}
	return child, err
}

// make makes a process; change, unless nil, changes the steps that the plan wants.
func (m *Maker) make(p *Plan, v *Vars, namespaces uint64, change func(*list)) (Child, error) {
	if err := m.enterPIDs(); err != nil {
		return Child{}, err
	}
	l := &m.list
	l.slots = m.stage.take()
	defer m.stage.put(l.slots)
	l.hand(p, v)
	defer m.stage.empty(l.slots, &l.given)
	if err := m.stage.fill(l.slots, &l.given); err != nil {
		return Child{}, &StepError{Step: "dup3", Errno: errnoOf(err)}
	}
	l.copyText(v)
	l.write(p, v)
	if change != nil {
		change(l)
	}
	l.run.first = &l.steps[0]
	pid := l.clone(namespaces, v.Cgroup)
	runtime.KeepAlive(p)
	if pid < 0 {
		return Child{}, &StepError{Step: "clone3", Errno: syscall.Errno(-pid)}
	}
	child, err := l.outcome(pid)
	if err != nil || p.ownScore == nil {
		return child, err
	}
	if err := m.unshield(p, pid, v.Cgroup); err != nil {
		sys.PidfdSendSignal(child.PIDFD, syscall.SIGKILL) //nolint:errcheck // it may have ended by itself
		sys.WaitPIDFD(child.PIDFD, false)                 //nolint:errcheck // nothing else waits for it
		sys.Close(child.PIDFD)
		return Child{}, fmt.Errorf("make process: %w", err)
	}
	return child, nil
}

// performed is the last step of a process that executes no program.
const performed = "exit_group"

// perform makes a process that ends where it would execute its program, and returns when it has. The error is a
// *StepError.
func (m *Maker) perform(p *Plan, v *Vars, more func(*list)) error {
	_, err := m.make(p, v, 0, func(l *list) {
		l.steps = l.steps[:len(l.steps)-1]
		if more != nil {
			more(l)
		}
		l.add(performed, sys.SYS_EXIT_GROUP, 0)
	})
	if failed := (*StepError)(nil); errors.As(err, &failed) && *failed == (StepError{Step: performed}) {
		return nil
	}
	return err
}

// Rehearse has a process take all steps of a plan, and of what is to be in v, but the last, and reports the one that this host refuses. The
// directory is left out: it may be made later.
func (m *Maker) Rehearse(p *Plan, v Vars) error {
	trial := *p
	trial.dir = nil
	return m.perform(&trial, &v, nil)
}

// clone makes a process that runs the list, and returns when it has executed its program or has ended.
func (l *list) clone(namespaces uint64, cgroup int) (pid int) {
	l.run.clone = sys.CloneArgs{
		Flags: cloneFlags | namespaces, PIDFD: uint64(address(&l.run.pidfd)), ChildTID: uint64(address(&l.run.inner)),
	}
	if cgroup > 0 {
		l.run.clone.Flags |= sys.CLONE_INTO_CGROUP
		l.run.clone.Cgroup = uint64(cgroup)
	}
	l.run.index, l.run.errno = 0, 0
	pid = clone(&l.run)
	runtime.KeepAlive(l)
	return pid
}

// outcome tells a child that has begun its program from one that has died before. clone3 was asked for no exit signal,
// and execve makes it SIGCHLD, whatever it was (man 2 execve); a wait without __WALL sees only children with SIGCHLD
// (man 2 waitid). So ECHILD means that execve was never reached or failed, also for a child killed right there.
func (l *list) outcome(pid int) (Child, error) {
	child := Child{PID: pid, PIDFD: int(l.run.pidfd), Inner: int(l.run.inner)}
	err := sys.PeekPIDFD(child.PIDFD, sys.WEXITED)
	if err == nil {
		return child, nil
	}
	defer sys.Close(child.PIDFD)
	exit, _, err := sys.WaitPIDFD(child.PIDFD, false)
	if err != nil {
		return Child{}, fmt.Errorf("reap process %d: %w", pid, err)
	}
	failed := &StepError{Step: l.steps[l.run.index].name, Errno: syscall.Errno(l.run.errno)}
	if failed.Errno == 0 {
		failed.Signal = exit.Signal
	}
	return Child{}, failed
}

func (v *Vars) check() error {
	switch {
	case len(v.FDs) > MaxFDs:
		return fmt.Errorf("make process: %d descriptors: at most %d", len(v.FDs), MaxFDs)
	case len(v.Join) > MaxJoins:
		return fmt.Errorf("make process: %d groups to join: at most %d", len(v.Join), MaxJoins)
	}
	for i, s := range v.Args {
		if strings.IndexByte(s, 0) >= 0 { // it would be cut off there, in silence
			return fmt.Errorf("make process: argument %d contains NUL", i)
		}
	}
	for _, s := range v.Env {
		if strings.IndexByte(s, 0) >= 0 {
			name, _, _ := strings.Cut(s, "=") // and not the value, which may be a secret
			return fmt.Errorf("make process: variable %s contains NUL", name)
		}
	}
	return nil
}
