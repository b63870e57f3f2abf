package main

import (
	"errors"
	"syscall"

	"github.com/aem-exec/aem-exec/internal/spawn"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/policy"
)

// benchConfined makes processes under each part of an app's policy alone, against processes under none of it. All have
// no_new_privs, which a filter wants, and the bounding set that a lane gives on.
func benchConfined(b *bench) (rows []row, err error) {
	if !b.root {
		b.say("policy.spawn is left out: namespaces and capabilities take root")
		return nil, nil
	}
	s, err := b.openNursery()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	s.leaf = nil
	bare := spawn.Spec{Path: s.born, Umask: -1, NoNewPrivs: true}
	seccomp, handler, capabilities, paths := bare, bare, bare, bare
	seccomp.Filter, capabilities.DropCaps = s.filter, true
	if handler.Filter, err = compileProfile(policy.Handler); err != nil {
		return nil, err
	}
	if paths.Ruleset, err = someReach(s.born); err != nil {
		return nil, err
	}
	defer sys.Close(paths.Ruleset)
	contenders := make([]contender, 0, 6)
	for _, part := range []struct {
		name string
		spec spawn.Spec
	}{{"none", bare}, {"seccomp", seccomp}, {"seccomp.handler", handler}, {"capabilities", capabilities}, {"paths", paths}, {"namespaces", bare}} {
		own := *s
		if own.lane, err = s.stage.NewLane(1, func(m *spawn.Maker) { m.DropBounding(0) }); err != nil { //nolint:errcheck // root may
			return nil, err
		}
		var cell *spawn.Cell
		if part.name == "namespaces" {
			if cell, err = own.enclose(); err != nil {
				return nil, err
			}
		}
		defer func() { own.lane.Close(); err = errors.Join(err, cell.Close()) }()
		c, err := own.contender(part.name, part.spec)
		if err != nil {
			return nil, err
		}
		contenders = append(contenders, c)
	}
	r, err := interleave(turns, contenders...)
	for _, c := range contenders[1:] {
		rows = append(rows, r.rows("policy.spawn."+c.name, "ns", c.name, "none")[0])
	}
	return rows, err
}

// enclose puts what is made on the lane into namespaces as handlers of root have.
func (s *nursery) enclose() (cell *spawn.Cell, err error) {
	done := make(chan struct{})
	s.lane.KeepThread()
	s.lane.Submit(func(m *spawn.Maker) {
		defer close(done)
		cell, err = m.Enclose(spawn.CellSpec{Name: "bench", Namespaces: policy.Flags(policy.RootNamespaces())})
	})
	<-done
	return cell, err
}

// someReach is a Landlock ruleset with some paths in it.
func someReach(program string) (ruleset int, err error) {
	root, err := syscall.Open("/", syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer syscall.Close(root)
	reach := policy.Reach{Programs: []string{program}, Paths: &policy.Paths{Read: []string{"/usr", "/etc"}, Write: []string{"/tmp"}}}
	return reach.Open(root)
}
