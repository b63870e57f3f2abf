package limits

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"

	"github.com/aem-exec/aem-exec/internal/sys"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// watchOOM opens what tells of OOM kills in the group, when its memory is limited.
func (g *Group) watchOOM() error {
	p := g.limited["memory"]
	if p == nil {
		return nil
	}
	if p.unified {
		fd, err := descriptor(filepath.Join(p.dir, "memory.events"), syscall.O_RDONLY)
		g.oom = fd
		return errors.Join(err, g.ClearOOM()) // never read, it is ready at once
	}
	v1, err := p.v1(p.dir, "memory", &specs.LinuxResources{})
	if err != nil {
		return err
	}
	fd, err := v1.OOMEventFD()
	if err != nil {
		return fmt.Errorf("watch %s/memory.oom_control: %v", p.dir, err)
	}
	g.oom = int(fd)
	return syscall.SetNonblock(g.oom, true)
}

// OOM is a descriptor to poll, and the events to poll it for, that becomes ready when an OOM kill may have happened in
// one of the leaves: an eventfd on memory.oom_control (v1), or memory.events itself (v2). It is -1 without a memory
// limit.
func (g *Group) OOM() (fd int, events uint32) {
	if p := g.limited["memory"]; p != nil && p.unified {
		return g.oom, sys.EPOLLPRI
	}
	return g.oom, sys.EPOLLIN
}

// ClearOOM makes the descriptor of OOM wait for the next kill. Leaf.OOMKills is read after it, so that none is missed.
func (g *Group) ClearOOM() error {
	if g.oom < 0 {
		return nil
	}
	if !g.limited["memory"].unified {
		sys.EventfdClear(g.oom)
		return nil
	}
	var events [256]byte // seven short lines, of which only the reading counts
	if _, err := syscall.Pread(g.oom, events[:], 0); err != nil {
		return fmt.Errorf("clear oom of %s: %v", g.app, err)
	}
	return nil
}
