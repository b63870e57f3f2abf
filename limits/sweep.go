package limits

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// The sweep waits this long, looking this often, for killed processes to be gone.
const (
	sweepWait = 2 * time.Second
	sweepLook = time.Millisecond
)

// Sweep kills and removes everything that a dead supervisor left below NAME and returns how many processes that were.
// It is called before the first group is made, by the one supervisor that uses NAME. A supervisor started in another
// cgroup than the one before it does not find what that one left.
func (t *Tree) Sweep() (killed int, err error) {
	pids := map[int]bool{}
	var left []string // groups, children first
	for _, h := range t.hierarchies {
		if h.refused != nil {
			continue
		}
		groups, err := groupsBelow(filepath.Join(h.home, t.name))
		if err != nil {
			return len(pids), fmt.Errorf("sweep %s: %v", h.home, err)
		}
		left = append(left, groups...)
		for _, dir := range groups {
			found, err := killGroup(h, dir)
			for _, pid := range found {
				pids[pid] = true
			}
			if err != nil {
				return len(pids), fmt.Errorf("sweep %s: %v", dir, err)
			}
		}
	}
	deadline := time.Now().Add(sweepWait)
	for _, dir := range left {
		for err := syscall.Rmdir(dir); err != nil && err != syscall.ENOENT; err = syscall.Rmdir(dir) {
			if time.Now().After(deadline) {
				return len(pids), fmt.Errorf("sweep %s: %v", dir, err)
			}
			time.Sleep(sweepLook)
		}
	}
	return len(pids), nil
}

// killGroup kills the processes in one group and returns them.
func killGroup(h *hierarchy, dir string) ([]int, error) {
	if !h.unified {
		return killAll(dir)
	}
	pids, err := processes(dir)
	if err != nil {
		return nil, err
	}
	return pids, write(dir, "cgroup.kill", "1")
}

// groupsBelow lists dir and the groups in it, children before their parents; none when dir is not there.
func groupsBelow(dir string) ([]string, error) {
	var groups []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			groups = append(groups, path)
		}
		return err
	})
	if os.IsNotExist(err) {
		err = nil
	}
	slices.Reverse(groups)
	return groups, err
}
