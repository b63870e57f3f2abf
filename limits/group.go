package limits

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// Group is one app's part of the tree, made by Tree.Group and living until Remove. It has one owner and no lock.
type Group struct {
	tree    *Tree
	app     string
	pidsMax int64
	without []string
	places  []*place
	keeper  *place            // whose leaves are killed; nil: the host has no leaves
	limited map[string]*place // by controller, where a limit is enforced
	leaves  map[string]*Leaf
	current kept // pids.current
	oom     int  // becomes readable when an OOM kill may have happened; -1: never
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
	g := &Group{tree: t, app: app, limited: map[string]*place{}, leaves: map[string]*Leaf{}, oom: -1}
	v := verdicts{limits: l}
	for _, e := range enforced {
		if !e.asked(l) {
			continue
		}
		if err := g.enforce(e, l); err != nil {
			v.missing(e.name, err)
		}
	}
	if err := g.keep(); err != nil && l.Kill {
		v.missing(kill, err)
	}
	err := v.err()
	if err == nil {
		err = g.watchOOM()
	}
	if err != nil {
		return nil, errors.Join(err, g.Remove())
	}
	if g.limited["pids"] != nil {
		g.pidsMax = l.PIDs
	}
	g.without = v.without
	return g, nil
}

// enforce writes one limit.
func (g *Group) enforce(e limit, l Limits) error {
	h, err := g.tree.controls(e.controller)
	if err != nil {
		return err
	}
	p, err := g.place(h)
	if err != nil {
		return fmt.Errorf("controller %s: %v", e.controller, err)
	}
	file := e.v1
	if h.unified {
		file = e.v2
		if err := g.tree.delegate(h, e.controller); err != nil {
			return fmt.Errorf("controller %s: %v", e.controller, err)
		}
	}
	if _, err := os.Stat(filepath.Join(p.dir, file)); err != nil {
		if e.name == swap && !g.tree.swapping {
			return nil // a kernel without swap accounting, and no swap space to account for
		}
		return err
	}
	if err := h.set(p.dir, e.controller, e.resources(l)); err != nil {
		return err
	}
	g.limited[e.controller] = p
	if !e.counted {
		return nil
	}
	p.leaves = true
	if h.unified {
		return enable(p.dir, e.controller)
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

// Kills reports whether the host has leaves, so that all processes of a slot can be found and killed.
func (g *Group) Kills() bool { return g.keeper != nil }

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
	return err != nil || current < 0 || current+int64(n) <= g.pidsMax // without the file there is no group: spawning tells
}

// Remove removes the group and its leaves, which must be empty.
func (g *Group) Remove() error {
	var failed error
	for _, l := range g.leaves {
		failed = errors.Join(failed, l.Remove())
	}
	g.current.close()
	if g.oom >= 0 {
		syscall.Close(g.oom)
		g.oom = -1
	}
	for _, p := range g.places {
		if err := syscall.Rmdir(p.dir); err != nil && err != syscall.ENOENT {
			failed = errors.Join(failed, &os.PathError{Op: "remove", Path: p.dir, Err: err})
		}
	}
	return failed
}
