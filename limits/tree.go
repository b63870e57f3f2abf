package limits

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Tree is the supervisor's place in the cgroup file systems: NAME below the cgroup it runs in, per hierarchy. It has one
// owner, beside whom groups of it may be removed by theirs.
type Tree struct {
	name        string
	hierarchies []*hierarchy
	swapping    bool       // the host has swap space now
	vacated     *hierarchy // where we moved into a leaf of our own

	mu  sync.Mutex // guards low
	low int64      // bytes that are protected for all groups together
}

// OpenTree finds the supervisor's own cgroups. It makes nothing, and a host without cgroups gives a tree in which every
// limit is missing.
func OpenTree(name string) (*Tree, error) {
	if !plain(name) {
		return nil, fmt.Errorf("open tree %q: not a file name", name)
	}
	cgroup, err := os.ReadFile("/proc/self/cgroup")
	if err != nil && !errors.Is(err, os.ErrNotExist) { // not there: CONFIG_CGROUPS is off
		return nil, fmt.Errorf("open tree %s: %v", name, err)
	}
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("open tree %s: %v", name, err)
	}
	swaps, _ := os.ReadFile("/proc/swaps") // not there: CONFIG_SWAP is off
	return openTree(name, string(cgroup), string(mountinfo), string(swaps))
}

func openTree(name, cgroup, mountinfo, swaps string) (*Tree, error) {
	found, err := discover(name+ownLeaf, cgroup, mountinfo)
	if err != nil {
		return nil, fmt.Errorf("open tree %s: %v", name, err)
	}
	for _, h := range found {
		h.probe()
	}
	return &Tree{name: name, hierarchies: found, swapping: strings.Count(swaps, "\n") > 1}, nil // one line is the heading
}

// Missing says, without making anything, which limits the host visibly cannot enforce: a *MissingError, or nil. Group
// may still find more, because only writing to the kernel's files tells all.
func (t *Tree) Missing(l Limits) error {
	v := verdicts{limits: l}
	for _, e := range l.asked() {
		if _, _, err := t.enforcer(e); err != nil {
			v.missing(e.name, err)
		}
	}
	if _, err := t.keeper(); l.Kill && err != nil {
		v.missing(kill, err)
	}
	return v.err()
}

// enforcer is the hierarchy that enforces a limit, and how, or why there is none. A controller is in one hierarchy at
// the most, of whichever version.
func (t *Tree) enforcer(e limit) (*hierarchy, way, error) {
	for _, h := range t.hierarchies {
		w := e.v1
		if h.unified {
			w = e.v2
		}
		if slices.Contains(h.controllers, w.controller) {
			return h, w, h.usable(w.controller)
		}
	}
	h, err := t.controls(e.v2.controller)
	if err == nil {
		err = fmt.Errorf("controller %s: in cgroup v1, at %s, it has no %s", e.v2.controller, h.home, e.v2.file)
	}
	return nil, way{}, err
}

// controls is the hierarchy that has a controller, or why there is none.
func (t *Tree) controls(controller string) (*hierarchy, error) {
	for _, h := range t.hierarchies {
		if slices.Contains(h.controllers, controller) {
			return h, h.usable(controller)
		}
	}
	if len(t.hierarchies) == 0 {
		return nil, fmt.Errorf("controller %s: this process sees no cgroup file system", controller)
	}
	return nil, fmt.Errorf("controller %s: not handed down to any of %s", controller, t.homes())
}

// keeper is the hierarchy whose leaves are killed and watched for emptiness: the unified tree, else a v1 hierarchy that
// costs its members little.
func (t *Tree) keeper() (*hierarchy, error) {
	for _, h := range t.hierarchies {
		if h.unified && h.refused == nil {
			return h, nil
		}
	}
	if h, err := t.controls("pids"); err == nil {
		return h, nil
	}
	h, err := t.controls("freezer")
	if err != nil {
		return nil, fmt.Errorf("no group to kill: %v", err)
	}
	return h, nil
}

func (t *Tree) homes() string {
	var homes []string
	for _, h := range t.hierarchies {
		homes = append(homes, h.home)
	}
	return strings.Join(homes, " ")
}

// Close removes what is empty and leaves the supervisor where it was found.
func (t *Tree) Close() error {
	var failed error
	for _, h := range t.hierarchies {
		err := syscall.Rmdir(filepath.Join(h.home, t.name))
		if err != nil && err != syscall.ENOENT && err != syscall.EBUSY {
			failed = errors.Join(failed, fmt.Errorf("remove %s/%s: %v", h.home, t.name, err))
		}
	}
	return errors.Join(failed, t.moveBack())
}

// plain reports whether name can be the name of a directory below a group.
func plain(name string) bool {
	return filepath.IsLocal(name) && filepath.Base(name) == name && name != "."
}
