package limits

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
)

// Group is one app's part of the tree, made by Tree.Group and living until Remove. It has one owner and no lock.
type Group struct {
	tree    *Tree
	app     string
	without []string
	places  []*place
	keeper  *place            // whose leaves are killed; nil: the host has no leaves
	limited map[string]*place // by the limit's name, where it is enforced

	enforced []int        // which of what is asked for is, in that order
	pids     atomic.Int64 // the most; 0: any number
	leaves   map[string]*Leaf
	limits   Limits // as the group was made: numbers may be others by now
	current  kept   // pids.current
	counted  []counted
	signals  []Signal
	gone     map[string]*atomic.Int64 // what leaves that are removed had counted, by figure
	low      int64                    // bytes that are protected
}

// place is a group's directory in one hierarchy.
type place struct {
	*hierarchy
	dir    string
	leaves bool // processes join a leaf below dir; else dir itself (v1 only)
}

// Group makes an app's group with its limits enforced. It refuses with a *MissingError when one cannot be enforced and
// OnMissing does not name it. An app has one group at a time: the kernel refuses some changes to limits in use.
func (t *Tree) Group(app string, l Limits) (*Group, error) {
	if !plain(app) {
		return nil, fmt.Errorf("make group %q: not a file name", app)
	}
	g := &Group{
		tree: t, app: app, limits: l, limited: map[string]*place{}, leaves: map[string]*Leaf{},
		gone: map[string]*atomic.Int64{oomKills: new(atomic.Int64), pidsHits: new(atomic.Int64)},
	}
	v := verdicts{limits: l}
	for i, e := range l.asked() {
		if err := g.enforce(e, l); err != nil {
			v.missing(e.name, err)
		} else if g.limited[e.name] != nil {
			g.enforced = append(g.enforced, i)
		}
	}
	g.pids.Store(l.PIDs)
	if err := g.keep(); err != nil && l.Kill {
		v.missing(kill, err)
	}
	err := v.err()
	if err == nil {
		g.counts()
		err = g.listen()
	}
	if err != nil {
		return nil, errors.Join(err, g.Remove())
	}
	g.without = v.without
	return g, nil
}

// enforce writes one limit.
func (g *Group) enforce(e limit, l Limits) error {
	h, w, err := g.tree.enforcer(e)
	if err != nil {
		return err
	}
	p, err := g.place(h)
	if err == nil && h.unified {
		err = g.tree.delegate(h, w.controller)
	}
	if err != nil {
		return fmt.Errorf("controller %s: %v", w.controller, err)
	}
	if _, err := os.Stat(filepath.Join(p.dir, w.file)); err != nil {
		if e.name == swap && !g.tree.swapping {
			return nil // a kernel without swap accounting, and no swap space to account for
		}
		return err
	}
	if err := w.set(g, p, l); err != nil {
		return err
	}
	g.limited[e.name] = p
	if !w.counted {
		return nil
	}
	p.leaves = true
	if h.unified {
		return enable(p.dir, w.controller)
	}
	return nil
}

// place is the group's directory in h, made on first use.
func (g *Group) place(h *hierarchy) (*place, error) {
	for _, p := range g.places {
		if p.hierarchy == h {
			return p, nil
		}
	}
	p := &place{hierarchy: h, dir: filepath.Join(h.home, g.tree.name, g.app), leaves: h.unified}
	if err := makeGroup(p.dir); err != nil {
		return nil, err
	}
	g.places = append(g.places, p)
	return p, nil
}

// keep chooses where leaves are killed.
func (g *Group) keep() error {
	h, err := g.tree.keeper()
	if err != nil {
		return err
	}
	p, err := g.place(h)
	if err != nil {
		return err
	}
	p.leaves = true
	g.keeper = p
	return nil
}

// Without names the limits that the app goes on without, because the host lacks them and OnMissing names them.
func (g *Group) Without() []string { return slices.Clone(g.without) }

// LimitsMemory reports whether the kernel ends processes of the group when it needs more memory than it may have. No group
// limits nothing.
func (g *Group) LimitsMemory() bool { return g != nil && g.limited["memory"] != nil }

// Kills reports whether the host has leaves, so that all processes of a slot can be found and killed.
func (g *Group) Kills() bool { return g.keeper != nil }

// Unified is the group's path in the hierarchy of v2.
func (g *Group) Unified() (string, error) {
	for _, p := range g.places {
		if p.unified {
			return strings.TrimPrefix(p.dir, p.mount), nil
		}
	}
	return "", errors.New("the app has no control group of v2")
}

// PIDs is how many processes and threads the app has, -1 without a limit on them.
func (g *Group) PIDs() (int64, error) {
	if g.limited["pids"] == nil {
		return -1, nil
	}
	path := filepath.Join(g.limited["pids"].dir, "pids.current")
	text, err := g.current.read(path)
	if err != nil {
		return 0, err
	}
	return parseNumber(path, text)
}

// Room reports whether n more processes fit below the pids limit. It is asked before each spawn: joining a v1 group is
// not refused at the limit, only forking in it is, and in v2 a birth that does not fit fails with EAGAIN.
func (g *Group) Room(n int) bool {
	current, err := g.PIDs()
	return err != nil || current < 0 || current+int64(n) <= g.pids.Load() // without the file there is no group: spawning tells
}

// Remove removes the group and its leaves, which must be empty.
func (g *Group) Remove() error {
	var failed error
	for _, l := range g.leaves {
		failed = errors.Join(failed, l.Remove())
	}
	g.current.close()
	g.unprotect()
	for _, s := range g.signals {
		syscall.Close(s.FD)
	}
	g.signals = nil
	for _, p := range g.places {
		if err := syscall.Rmdir(p.dir); err != nil && err != syscall.ENOENT {
			failed = errors.Join(failed, &os.PathError{Op: "remove", Path: p.dir, Err: err})
		}
	}
	return failed
}
