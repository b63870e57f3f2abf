package limits

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ownLeaf ends the name of the group the supervisor moves itself into, beside NAME. Where systemd starts it there at once
// (DelegateSubgroup=NAME-supervisor, version 254) nothing moves.
const ownLeaf = "-supervisor"

// delegate has a controller of the unified tree limit the groups below NAME.
func (t *Tree) delegate(h *hierarchy, controller string) error {
	if err := t.moveOut(h); err != nil {
		return err
	}
	if err := enable(h.home, controller); err != nil {
		return err
	}
	return enable(filepath.Join(h.home, t.name), controller)
}

// enable gives the groups below dir a controller (Documentation/admin-guide/cgroup-v2.rst, "Enabling and Disabling").
func enable(dir, controller string) error {
	return write(dir, "cgroup.subtree_control", "+"+controller)
}

// moveOut moves the supervisor into a leaf of its own, if it must. A group other than the root hands nothing down while
// it has processes itself ("No Internal Process Constraint"), and we are such a process: systemd starts a service in the
// very group that it delegates. It is not tried first without, because cpu and pids would not be refused: they would
// make the group threaded, and those below it invalid. Processes of others are not ours to move.
func (t *Tree) moveOut(h *hierarchy) error {
	if _, err := os.Stat(filepath.Join(h.home, "cgroup.type")); errors.Is(err, os.ErrNotExist) {
		return nil // the root, the only group without this file
	}
	pids, err := processes(h.home)
	if err != nil || len(pids) == 0 {
		return err
	}
	if slices.ContainsFunc(pids, func(pid int) bool { return pid != os.Getpid() }) {
		return fmt.Errorf("%s has other processes than the supervisor, which needs a group of its own (systemd: Delegate=yes)", h.home)
	}
	leaf := filepath.Join(h.home, t.name+ownLeaf)
	if err := makeGroup(leaf); err != nil {
		return err
	}
	t.vacated = h
	return write(leaf, "cgroup.procs", "0")
}

// moveBack undoes moveOut. Where groups are left that still need the controllers, the supervisor stays in its leaf.
func (t *Tree) moveBack() error {
	if t.vacated == nil {
		return nil
	}
	home := t.vacated.home
	enabled, err := os.ReadFile(filepath.Join(home, "cgroup.subtree_control"))
	if err != nil {
		return err
	}
	for _, c := range strings.Fields(string(enabled)) {
		if err := write(home, "cgroup.subtree_control", "-"+c); err != nil {
			return err
		}
	}
	if err := write(home, "cgroup.procs", "0"); err != nil {
		return err
	}
	t.vacated = nil
	return os.Remove(filepath.Join(home, t.name+ownLeaf))
}
