package limits

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/containerd/cgroups/v3/cgroup2"
)

// How cgroup v2 enforces each limit, Documentation/admin-guide/cgroup-v2.rst.
var (
	memoryV2 = way{"memory", "memory.max", true, v2(func(l Limits) cgroup2.Resources {
		return cgroup2.Resources{Memory: &cgroup2.Memory{Max: &l.Memory}}
	})}
	swapV2 = way{"memory", "memory.swap.max", false, v2(func(l Limits) cgroup2.Resources {
		bytes := max(l.Swap, 0)
		return cgroup2.Resources{Memory: &cgroup2.Memory{Swap: &bytes}}
	})}
	memoryHighV2 = way{"memory", "memory.high", false, v2(func(l Limits) cgroup2.Resources {
		return cgroup2.Resources{Memory: &cgroup2.Memory{High: &l.MemoryHigh}}
	})}
	memoryLowV2 = way{"memory", "memory.low", false, protect}

	pidsV2 = way{"pids", "pids.max", true, v2(func(l Limits) cgroup2.Resources {
		return cgroup2.Resources{Pids: &cgroup2.Pids{Max: l.PIDs}}
	})}

	cpuV2 = way{"cpu", "cpu.max", false, v2(func(l Limits) cgroup2.Resources {
		quota, period := l.quota()
		return cgroup2.Resources{CPU: &cgroup2.CPU{Max: cgroup2.NewCPUMax(&quota, &period)}}
	})}
	cpuWeightV2 = way{"cpu", "cpu.weight", false, v2(func(l Limits) cgroup2.Resources {
		weight := cmp.Or(uint64(l.CPUWeight), cgroup2.ConvertCPUSharesToCgroupV2Value(uint64(l.CPUShares)))
		return cgroup2.Resources{CPU: &cgroup2.CPU{Weight: &weight}}
	})}
	cpusetV2 = way{"cpuset", "cpuset.cpus", false, confine}

	ioV2       = way{"io", "io.max", false, throttle}
	ioWeightV2 = way{"io", "", false, shareDisks}
)

func hugetlbV2(h HugeTLB) way {
	return way{"hugetlb", "hugetlb." + h.Size + ".max", false, v2(func(Limits) cgroup2.Resources {
		return cgroup2.Resources{HugeTlb: &cgroup2.HugeTlb{{HugePageSize: h.Size, Limit: uint64(h.Bytes)}}}
	})}
}

// rawV2 writes a file as it is asked for. It belongs to the controller that its name begins with.
func rawV2(r Raw) way {
	controller, _, _ := strings.Cut(r.File, ".")
	return way{controller, r.File, false, func(_ *Group, p *place, _ Limits) error { return write(p.dir, r.File, r.Text) }}
}

// v2 writes resources through the library.
func v2(resources func(Limits) cgroup2.Resources) func(*Group, *place, Limits) error {
	return func(_ *Group, p *place, l Limits) error {
		m, err := cgroup2.Load(strings.TrimPrefix(p.dir, p.home), cgroup2.WithMountpoint(p.home))
		if err != nil {
			return err
		}
		r := resources(l)
		return m.Update(&r)
	}
}

// protect protects memory of the app. A group is protected no further than those above it are, so NAME is protected as
// much as all of its apps together, and what is above NAME has to be by who owns it.
func protect(g *Group, p *place, l Limits) error {
	g.tree.mu.Lock()
	defer g.tree.mu.Unlock()
	sum := g.tree.low - g.low + l.MemoryLow
	for dir := p.home; len(dir) >= len(p.mount); dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, "memory.low"))
		if errors.Is(err, os.ErrNotExist) {
			break // the root, which all memory is of
		}
		if low, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && low < sum {
			return fmt.Errorf("memory.low of %s is %d, and what is above an app must protect as much as it (%d)", dir, low, sum)
		}
	}
	if err := write(filepath.Dir(p.dir), "memory.low", strconv.FormatInt(sum, 10)); err != nil {
		return err
	}
	g.tree.low, g.low = sum, l.MemoryLow
	return write(p.dir, "memory.low", strconv.FormatInt(l.MemoryLow, 10))
}

// unprotect takes the app's memory out of what NAME protects.
func (g *Group) unprotect() {
	g.tree.mu.Lock()
	defer g.tree.mu.Unlock()
	if p := g.limited["memory_low"]; p != nil && p.unified && g.low > 0 {
		g.tree.low -= g.low
		g.low = 0
		write(filepath.Dir(p.dir), "memory.low", strconv.FormatInt(g.tree.low, 10)) //nolint:errcheck // too much is protected of nothing
	}
}

// confine writes a cpuset and looks what came of it: the kernel takes cores that are not there, or that the group above
// does not have, and gives others instead.
func confine(g *Group, p *place, l Limits) error {
	set := v2(func(l Limits) cgroup2.Resources {
		return cgroup2.Resources{CPU: &cgroup2.CPU{Cpus: l.CPUSet, Mems: l.MemorySet}}
	})
	if err := set(g, p, l); err != nil {
		return err
	}
	for file, asked := range map[string]string{"cpuset.cpus.effective": l.CPUSet, "cpuset.mems.effective": l.MemorySet} {
		got, err := os.ReadFile(filepath.Join(p.dir, file))
		if err != nil {
			return err
		}
		if text := strings.TrimSpace(string(got)); asked != "" && !sameSet(asked, text) {
			return fmt.Errorf("of cpuset %s this host gives %s", asked, text)
		}
	}
	return nil
}

// throttle limits disks.
func throttle(g *Group, p *place, l Limits) error {
	var entries []cgroup2.Entry
	for _, d := range l.IO.Devices {
		major, minor, err := disk(d.Path)
		if err != nil {
			return err
		}
		for _, r := range d.rates() {
			if r.limit > 0 {
				entries = append(entries, cgroup2.Entry{Type: cgroup2.IOType(r.name), Major: major, Minor: minor, Rate: uint64(r.limit)})
			}
		}
	}
	return v2(func(Limits) cgroup2.Resources { return cgroup2.Resources{IO: &cgroup2.IO{Max: entries}} })(g, p, l)
}

// shareDisks gives the app a share of busy disks. Two mechanisms of the kernel know weights, each with a file of its own,
// and neither does anything until it is at work for a disk.
func shareDisks(_ *Group, p *place, l Limits) error {
	weight := strconv.Itoa(l.IO.Weight)
	switch costs, _ := os.ReadFile(filepath.Join(p.mount, "io.cost.qos")); {
	case strings.Contains(string(costs), "enable=1"):
		return write(p.dir, "io.weight", weight)
	case schedulerBFQ():
		return write(p.dir, "io.bfq.weight", weight)
	}
	return errNoShares
}
