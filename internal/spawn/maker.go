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
	stage *Stage
	list  list
}

// DropBounding empties the bounding set of the lane's own thread: the processes made on it inherit that, and need not
// do it themselves, one capability after the other, each time (50 us). Without CAP_SETPCAP nothing is changed.
func (m *Maker) DropBounding() error {
	we, err := readSelf()
	if err != nil {
		return err
	}
	for _, c := range members(we.capBnd, 0) {
		if err := sys.DropBounding(c); err != nil {
			return fmt.Errorf("drop capability %d from the bounding set: %w", c, err)
		}
	}
	m.list.unbound = true
	return nil
}

// Spawn makes a process and returns when it has begun its program. If it never does, nothing is left of it, and the
// error is a *StepError. The descriptors in v stay the caller's.
func (m *Maker) Spawn(p *Plan, v Vars) (Child, error) {
	if err := v.check(); err != nil {
		return Child{}, err
	}
	l := &m.list
	l.slots = m.stage.take()
	defer m.stage.put(l.slots)
	defer m.stage.empty(l.slots, &v)
	if err := m.stage.fill(l.slots, &v); err != nil {
		var errno syscall.Errno
		errors.As(err, &errno)
		return Child{}, &StepError{Step: "dup3", Errno: errno}
	}
	l.copyText(&v)
	l.write(p, &v)
	pid := l.clone(v.Cgroup)
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

// Rehearse makes a process that takes all steps of a plan and ends where it would execute its program, and reports the
// step that this host refuses. The directory is left out: it may be made later.
func (m *Maker) Rehearse(p *Plan) error {
	l, v := &m.list, Vars{Cgroup: -1}
	l.slots = m.stage.take()
	defer m.stage.put(l.slots)
	trial := *p
	trial.dir = nil
	l.copyText(&v)
	l.write(&trial, &v)
	l.steps[len(l.steps)-1] = step{name: rehearsed, nr: sys.SYS_EXIT_GROUP}
	pid := l.clone(v.Cgroup)
	runtime.KeepAlive(&trial)
	if pid < 0 {
		return &StepError{Step: "clone3", Errno: syscall.Errno(-pid)}
	}
	_, err := l.outcome(pid)
	if failed, ok := err.(*StepError); ok && *failed == (StepError{Step: rehearsed}) {
		return nil
	}
	return err
}

// rehearsed is the last step of a rehearsal.
const rehearsed = "exit_group"

// clone makes a process that runs the list, and returns when it has executed its program or has ended.
func (l *list) clone(cgroup int) (pid int) {
	l.run.clone = sys.CloneArgs{Flags: cloneFlags, PIDFD: uint64(address(&l.run.pidfd))}
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
	child := Child{PID: pid, PIDFD: int(l.run.pidfd)}
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
	for _, texts := range [][]string{v.Args, v.Env} {
		for _, s := range texts {
			if strings.IndexByte(s, 0) >= 0 { // it would be cut off there, in silence
				return fmt.Errorf("make process: %q contains NUL", s)
			}
		}
	}
	return nil
}
