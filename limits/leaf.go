package limits

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
)

// ErrNoLeaf means that the host has no leaf to kill or look into: process groups are what is left.
var ErrNoLeaf = errors.New("no cgroup on this host")

// ErrBusy means that a leaf still has processes.
var ErrBusy = errors.New("leaf still has processes")

// Leaf is where the processes of one agent slot live. Its group makes it and removes it; the methods that only look or
// kill may be called from any goroutine until then.
type Leaf struct {
	group *Group
	slot  string
	into  int
	join  []int
	spent atomic.Bool // it was killed
	dirs  []string    // those of this leaf alone

	events, memory, pids kept // what is read at the end of each process
}

// Leaf gives the leaf of a slot: made once (0.2 ms in three hierarchies, BenchmarkLeaf), given again while it is empty,
// ErrBusy while it is not.
func (g *Group) Leaf(slot string) (*Leaf, error) {
	if l := g.leaves[slot]; l != nil {
		return l.again()
	}
	if !plain(slot) {
		return nil, fmt.Errorf("make leaf %q: not a file name", slot)
	}
	l := &Leaf{group: g, slot: slot, into: -1}
	for _, p := range g.places {
		if err := l.open(p); err != nil {
			return nil, errors.Join(fmt.Errorf("make leaf: %v", err), l.Remove())
		}
	}
	g.leaves[slot] = l
	return l, nil
}

// again is the leaf, provided that nobody lives in it.
func (l *Leaf) again() (*Leaf, error) {
	empty, err := l.Empty()
	if err == nil && !empty {
		err = ErrBusy
	}
	if err != nil && !errors.Is(err, ErrNoLeaf) {
		return nil, fmt.Errorf("leaf %s: %w", l, err)
	}
	return l, nil
}

// open makes the leaf in one place and opens what a child enters it by.
func (l *Leaf) open(p *place) (err error) {
	dir := p.dir
	if p.leaves {
		dir = l.dir(p)
		if err := makeGroup(dir); err != nil {
			return err
		}
		l.dirs = append(l.dirs, dir)
	}
	if p.unified {
		l.into, err = descriptor(dir, syscall.O_RDONLY|syscall.O_DIRECTORY)
		return err
	}
	fd, err := descriptor(filepath.Join(dir, "tasks"), syscall.O_WRONLY)
	if err == nil {
		l.join = append(l.join, fd)
	}
	return err
}

func (l *Leaf) dir(p *place) string { return filepath.Join(p.dir, l.slot) }

// Into is the directory that a child is born into with CLONE_INTO_CGROUP (man 2 clone3), -1 where there is none.
func (l *Leaf) Into() int { return l.into }

// Join are the `tasks` files of v1 hierarchies, nil where there are none: the child writes "0" to each before its exec.
// One thread joins through `tasks` without the wait for a grace period that cgroup.procs costs (up to 20 ms).
func (l *Leaf) Join() []int { return l.join }

// Empty reports whether no process is left.
func (l *Leaf) Empty() (bool, error) {
	p := l.group.keeper
	if p == nil {
		return false, ErrNoLeaf
	}
	if p.unified {
		populated, err := l.events.counter(filepath.Join(l.dir(p), "cgroup.events"), "populated")
		return populated == 0, err
	}
	pids, err := processes(l.dir(p))
	return len(pids) == 0, err
}

// PIDs lists the processes in the leaf.
func (l *Leaf) PIDs() ([]int, error) {
	p := l.group.keeper
	if p == nil {
		return nil, ErrNoLeaf
	}
	return processes(l.dir(p))
}

// OOMKills counts the processes of this leaf that the OOM killer ended; 0 without a memory limit. Only the local counts
// of both versions are the leaf's own, on v1 oom_kill of memory.oom_control is local already.
func (l *Leaf) OOMKills() (uint64, error) {
	p := l.group.limited["memory"]
	switch {
	case p == nil:
		return 0, nil
	case p.unified:
		return l.memory.counter(filepath.Join(l.dir(p), "memory.events.local"), "oom_kill")
	}
	return l.memory.counter(filepath.Join(l.dir(p), "memory.oom_control"), "oom_kill")
}

// PIDsMaxHits counts the forks that the pids limit refused in this leaf; 0 without a pids limit. From Linux 6.11 on, v2
// counts a refusal where the limit is and not where the fork was (kernel/cgroup/pids.c, pids_event), unless mounted
// with pids_localevents: there it is the count of the whole app.
func (l *Leaf) PIDsMaxHits() (uint64, error) {
	p := l.group.limited["pids"]
	if p == nil {
		return 0, nil
	}
	dir := l.dir(p)
	if p.unified && !pidsInLeaves(p) {
		dir = p.dir
	}
	return l.pids.counter(filepath.Join(dir, "pids.events"), "max")
}

// Remove removes the leaf, which must be empty, and closes its descriptors.
func (l *Leaf) Remove() error {
	var failed error
	kills, _ := l.OOMKills()
	forks, _ := l.PIDsMaxHits()
	for i := len(l.dirs) - 1; i >= 0; i-- {
		if err := syscall.Rmdir(l.dirs[i]); err != nil && err != syscall.ENOENT {
			failed = errors.Join(failed, &os.PathError{Op: "remove", Path: l.dirs[i], Err: err})
		}
	}
	if failed != nil {
		return fmt.Errorf("remove leaf %s: %w", l, failed)
	}
	l.group.gone[oomKills].Add(int64(kills))
	l.group.gone[pidsHits].Add(int64(forks))
	for _, k := range []*kept{&l.events, &l.memory, &l.pids} {
		k.close()
	}
	for _, fd := range append(l.join, l.into) {
		if fd >= 0 {
			syscall.Close(fd)
		}
	}
	l.join, l.into = nil, -1
	delete(l.group.leaves, l.slot)
	return nil
}

// String is APP/SLOT.
func (l *Leaf) String() string { return l.group.app + "/" + l.slot }
