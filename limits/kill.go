package limits

import (
	"errors"
	"fmt"
	"os"
	"slices"
)

// killPasses bounds how often a group without cgroup.kill is read. Each pass kills all that the one before could have
// forked, and a process that is to die forks no more, so it takes a bomb of that many generations to outrun it.
const killPasses = 64

// Kill sends SIGKILL to every process in the leaf and does not wait: Empty tells when they are gone. After it the leaf
// is Spent.
func (l *Leaf) Kill() error {
	l.spent.Store(true)
	p := l.group.keeper
	if p == nil {
		return ErrNoLeaf
	}
	var err error
	if p.unified {
		err = write(l.dir(p), "cgroup.kill", "1") // Linux 5.14
	} else {
		_, err = killAll(l.dir(p))
	}
	if err != nil {
		return fmt.Errorf("kill leaf %s: %v", l, err)
	}
	return nil
}

// Spent reports whether the leaf was killed, and is to be removed and made again before another process lives in it.
// Up to Linux 6.18 at least, the kernel compares how often the group was killed since a fork began by the count of the
// wrong group when the child is to be born into another one (kernel/cgroup/cgroup.c, cgroup_css_set_fork reads kill_seq
// before it knows kargs->cgrp): every child of CLONE_INTO_CGROUP would be killed at birth.
func (l *Leaf) Spent() bool { return l.spent.Load() }

// killAll kills the processes in the group dir one by one, until a pass finds none that is new, and returns them.
func killAll(dir string) (killed []int, err error) {
	for range killPasses {
		pids, err := processes(dir)
		if err != nil {
			return killed, err
		}
		pids = slices.DeleteFunc(pids, func(pid int) bool { return slices.Contains(killed, pid) })
		if len(pids) == 0 {
			return killed, nil
		}
		if err := killListed(dir, pids); err != nil {
			return killed, err
		}
		killed = append(killed, pids...)
	}
	return killed, fmt.Errorf("%s still forks after %d passes", dir, killPasses)
}

// killListed kills those of pids that are still in the group dir once a pidfd holds them: a process that ended, and
// whose number went to a stranger in between, is not listed any more.
func killListed(dir string, pids []int) error {
	held := make(map[int]*os.Process, len(pids)) // os.Process is a pidfd
	defer func() {
		for _, p := range held {
			p.Release() //nolint:errcheck // it only closes the pidfd
		}
	}()
	for _, pid := range pids {
		p, err := os.FindProcess(pid)
		if err != nil {
			return err
		}
		held[pid] = p
	}
	listed, err := processes(dir)
	if err != nil {
		return err
	}
	for _, pid := range listed {
		if p := held[pid]; p != nil {
			if err := p.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				return fmt.Errorf("kill %d: %v", pid, err)
			}
		}
	}
	return nil
}
