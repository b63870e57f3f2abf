package limits

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/aem-exec/aem-exec/internal/sys"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Hit is how often the kernel held an app to one of its limits.
type Hit struct {
	Limit string // the key, as memory or hugetlb."2MB"
	Times int64
}

// counted is a limit that the kernel counts the hits of, and where.
type counted struct {
	limit string
	figure
}

// counts finds out which of the limits the kernel counts the hits of.
func (g *Group) counts() {
	add := func(limit, name string, f figure) {
		p := g.limited[name]
		if p != nil && (p.unified && f.v2.file != "" || !p.unified && f.v1.file != "") {
			g.counted = append(g.counted, counted{limit, f})
		}
	}
	for _, e := range enforced {
		if name, ok := hitsOf[e.name]; ok && (e.name != swap || g.limits.Swap > 0) {
			add(e.name, e.name, figureNamed(name))
		}
	}
	for _, h := range g.limits.HugeTLB {
		add(h.key(), "hugetlb", hugeHits(h.Size))
	}
}

// Counted are the limits that the kernel counts the hits of.
func (g *Group) Counted() (limits []string) {
	for _, c := range g.counted {
		limits = append(limits, c.limit)
	}
	return limits
}

// Hits are how often each of those limits was reached since the group was made.
func (g *Group) Hits() (all []Hit) {
	for _, c := range g.counted {
		if n, ok := g.figure(c.figure); ok {
			all = append(all, Hit{c.limit, n})
		}
	}
	return all
}

// Signal is a descriptor that becomes ready when a limit may have been reached, and the events to poll it for. What the
// kernel tells nobody has to be looked for: whether a quota of CPU is used up, and on some kernels refused forks.
type Signal struct {
	FD     int
	Events uint32
	Early  string // the limit that it tells of before the hit is counted; "": what it tells of is counted
}

// Signals are the group's, until Remove.
func (g *Group) Signals() []Signal { return g.signals }

// Untold reports whether the group has limits that no signal tells of.
func (g *Group) Untold() bool {
	p := g.limited["pids"]
	return g.limited["cpu"] != nil || p != nil && (!p.unified || pidsInLeaves(p))
}

// listen opens what tells of limits that are reached: files of events on v2, which are ready when they changed since they
// were last read, and an eventfd for OOM kills on v1.
func (g *Group) listen() error {
	files := map[string]bool{}
	add := func(limit, file string) {
		if p := g.limited[limit]; p != nil && p.unified {
			files[filepath.Join(p.dir, file)] = true
		}
	}
	add("memory", "memory.events")
	add("memory_high", "memory.events")
	add("pids", "pids.events")
	if g.limits.Swap > 0 {
		add(swap, "memory.swap.events")
	}
	for _, h := range g.limits.HugeTLB {
		add("hugetlb", "hugetlb."+h.Size+".events")
	}
	for file := range files {
		fd, err := descriptor(file, syscall.O_RDONLY)
		if errors.Is(err, os.ErrNotExist) { // a kernel without swap, or without events of huge pages
			continue
		}
		if err != nil {
			return err
		}
		g.signals = append(g.signals, Signal{FD: fd, Events: sys.EPOLLPRI})
	}
	if p := g.limited["memory"]; p != nil && !p.unified {
		group, err := p.library("memory", &specs.LinuxResources{})
		if err != nil {
			return err
		}
		fd, err := group.OOMEventFD()
		if err != nil {
			return fmt.Errorf("watch %s/memory.oom_control: %v", p.dir, err)
		}
		// It tells of the want of memory, and then looks for somebody to kill (mm/memcontrol-v1.c, mem_cgroup_oom_notify).
		g.signals = append(g.signals, Signal{int(fd), sys.EPOLLIN, "memory"})
		if err := syscall.SetNonblock(int(fd), true); err != nil {
			return err
		}
	}
	return g.Clear() // a file that was never read is ready at once
}

// Clear makes the signals wait for what comes. Counts are read after it, so that none is missed.
func (g *Group) Clear() error {
	for _, s := range g.signals {
		if s.Events == sys.EPOLLIN {
			sys.EventfdClear(s.FD)
			continue
		}
		var text [keptBytes]byte // of which only the reading counts
		if _, err := syscall.Pread(s.FD, text[:], 0); err != nil {
			return fmt.Errorf("clear signals of %s: %v", g.app, err)
		}
	}
	return nil
}
