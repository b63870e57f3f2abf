package limits

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/cgroups/v3/cgroup1"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// How cgroup v1 enforces each limit, Documentation/admin-guide/cgroup-v1.
var (
	memoryV1 = way{"memory", "memory.limit_in_bytes", true, v1("memory", func(l Limits) specs.LinuxResources {
		return specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &l.Memory}}
	})}
	swapV1 = way{"memory", "memory.memsw.limit_in_bytes", false, v1("memory", func(l Limits) specs.LinuxResources {
		both := l.Memory + max(l.Swap, 0)
		return specs.LinuxResources{Memory: &specs.LinuxMemory{Swap: &both}}
	})}
	// What is below its soft limit is taken last, when the whole machine is short of memory.
	memoryLowV1 = way{"memory", "memory.soft_limit_in_bytes", false, v1("memory", func(l Limits) specs.LinuxResources {
		return specs.LinuxResources{Memory: &specs.LinuxMemory{Reservation: &l.MemoryLow}}
	})}

	pidsV1 = way{"pids", "pids.max", true, v1("pids", func(l Limits) specs.LinuxResources {
		return specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &l.PIDs}}
	})}

	cpuV1 = way{"cpu", "cpu.cfs_quota_us", false, v1("cpu", func(l Limits) specs.LinuxResources {
		quota, period := l.quota()
		return specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: &quota, Period: &period}}
	})}
	cpuWeightV1 = way{"cpu", "cpu.shares", false, v1("cpu", func(l Limits) specs.LinuxResources {
		const each = 1024.0 / 100 // as kernel/sched/core.c makes shares of weights
		shares := cmp.Or(uint64(l.CPUShares), max(2, uint64(math.Round(float64(l.CPUWeight)*each))))
		return specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: &shares}}
	})}
	cpusetV1 = way{"cpuset", "cpuset.cpus", false, v1("cpuset", func(l Limits) specs.LinuxResources {
		return specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: l.CPUSet, Mems: l.MemorySet}}
	})}

	ioV1       = way{"blkio", "blkio.throttle.read_bps_device", false, throttleV1}
	ioWeightV1 = way{"blkio", "blkio.bfq.weight", false, func(g *Group, p *place, l Limits) error {
		if !schedulerBFQ() {
			return errNoShares
		}
		return write(p.dir, "blkio.bfq.weight", fmt.Sprint(l.IO.Weight))
	}}
)

func hugetlbV1(h HugeTLB) way {
	return way{"hugetlb", "hugetlb." + h.Size + ".limit_in_bytes", false, v1("hugetlb", func(Limits) specs.LinuxResources {
		return specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: h.Size, Limit: uint64(h.Bytes)}}}
	})}
}

// v1 writes resources through the library.
func v1(controller string, resources func(Limits) specs.LinuxResources) func(*Group, *place, Limits) error {
	return func(_ *Group, p *place, l Limits) error {
		r := resources(l)
		_, err := p.library(controller, &r)
		return err
	}
}

// subsystems are the library's v1 controllers that limit something.
var subsystems = map[string]func(root string) (cgroup1.Subsystem, error){
	"memory":  func(root string) (cgroup1.Subsystem, error) { return cgroup1.NewMemory(root), nil },
	"pids":    func(root string) (cgroup1.Subsystem, error) { return cgroup1.NewPids(root), nil },
	"cpu":     func(root string) (cgroup1.Subsystem, error) { return cgroup1.NewCpu(root), nil },
	"cpuset":  func(root string) (cgroup1.Subsystem, error) { return cgroup1.NewCpuset(root), nil },
	"blkio":   func(root string) (cgroup1.Subsystem, error) { return cgroup1.NewBlkio(root), nil },
	"hugetlb": func(root string) (cgroup1.Subsystem, error) { return cgroup1.NewHugetlb(root) },
}

// library is the place as the library's v1 group, with resources written.
func (p *place) library(controller string, r *specs.LinuxResources) (cgroup1.Cgroup, error) {
	root := filepath.Dir(p.mount)
	usual, err := os.Stat(filepath.Join(root, controller))
	if err != nil {
		return nil, err
	}
	// The library only knows ROOT/CONTROLLER (a link where controllers share a mount) and would make plain files there.
	if mount, err := os.Stat(p.mount); err != nil || !os.SameFile(usual, mount) {
		return nil, fmt.Errorf("%s is mounted at %s only", controller, p.mount)
	}
	subsystem, err := subsystems[controller](root)
	if err != nil {
		return nil, err
	}
	only := func() ([]cgroup1.Subsystem, error) { return []cgroup1.Subsystem{subsystem}, nil }
	return cgroup1.New(cgroup1.StaticPath(strings.TrimPrefix(p.dir, p.mount)), r, cgroup1.WithHierarchy(only))
}

// throttleV1 limits disks.
func throttleV1(g *Group, p *place, l Limits) error {
	var io specs.LinuxBlockIO
	for _, d := range l.IO.Devices {
		major, minor, err := disk(d.Path)
		if err != nil {
			return err
		}
		lists := []*[]specs.LinuxThrottleDevice{
			&io.ThrottleReadBpsDevice, &io.ThrottleWriteBpsDevice, &io.ThrottleReadIOPSDevice, &io.ThrottleWriteIOPSDevice,
		}
		for i, r := range d.rates() {
			if r.limit > 0 {
				one := specs.LinuxThrottleDevice{Rate: uint64(r.limit)}
				one.Major, one.Minor = major, minor
				*lists[i] = append(*lists[i], one)
			}
		}
	}
	return v1("blkio", func(Limits) specs.LinuxResources { return specs.LinuxResources{BlockIO: &io} })(g, p, l)
}
