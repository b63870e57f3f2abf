package limits

import (
	"fmt"
	"slices"
	"strings"
)

// limit is one limit that a cgroup enforces, and how each version of cgroups does it.
type limit struct {
	name   string
	asked  func(Limits) bool
	v2, v1 way
}

// way is how one version enforces a limit. The zero way is none: that version cannot.
type way struct {
	controller string
	file       string // that has to be there
	counted    bool   // what it did is told per leaf, so leaves need the controller too
	set        func(g *Group, p *place, l Limits) error
}

// enforced is every limit with a key of its own that a cgroup enforces, in the order they are written. Memory comes
// before swap, because on v1 memory.memsw.limit_in_bytes may not be the smaller of the two
// (Documentation/admin-guide/cgroup-v1/memory.rst).
var enforced = []limit{
	{"memory", func(l Limits) bool { return l.Memory > 0 }, memoryV2, memoryV1},
	{swap, func(l Limits) bool { return l.Memory > 0 }, swapV2, swapV1},
	{"memory_high", func(l Limits) bool { return l.MemoryHigh > 0 }, memoryHighV2, way{}},
	{"memory_low", func(l Limits) bool { return l.MemoryLow > 0 }, memoryLowV2, memoryLowV1},
	{"pids", func(l Limits) bool { return l.PIDs > 0 }, pidsV2, pidsV1},
	{"cpu", func(l Limits) bool { return l.CPU > 0 }, cpuV2, cpuV1},
	{"cpu_weight", func(l Limits) bool { return l.CPUWeight > 0 || l.CPUShares > 0 }, cpuWeightV2, cpuWeightV1},
	{"cpuset", func(l Limits) bool { return l.CPUSet != "" || l.MemorySet != "" }, cpusetV2, cpusetV1},
	{"io", func(l Limits) bool { return len(l.IO.Devices) > 0 }, ioV2, ioV1},
	{"io", func(l Limits) bool { return l.IO.Weight > 0 }, ioWeightV2, ioWeightV1},
}

// The limits with rules of their own.
const (
	swap = "swap" // nothing to enforce on a host without swap space, and gone together with memory
	kill = "kill" // not a number: leaves that can be killed as a whole
)

// asked are the limits that are asked for: those of the table, and one for each size of huge pages and each raw file.
func (l Limits) asked() (all []limit) {
	for _, e := range enforced {
		if e.asked(l) {
			all = append(all, e)
		}
	}
	for _, h := range l.HugeTLB {
		all = append(all, limit{name: "hugetlb", v2: hugetlbV2(h), v1: hugetlbV1(h)})
	}
	for _, r := range l.Unified {
		all = append(all, limit{name: "unified", v2: rawV2(r)})
	}
	return all
}

// MissingError says which of the limits asked for cannot be enforced on this host.
type MissingError struct {
	Limits []string
	Why    string // controller, file and cause of each
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("enforce %s: %s", strings.Join(e.Limits, ", "), e.Why)
}

// verdicts sorts limits that cannot be enforced into what the app goes on without and what it is refused for.
type verdicts struct {
	limits  Limits
	without []string
	refused MissingError
}

// missing records why a limit cannot be enforced.
func (v *verdicts) missing(name string, why error) {
	list := &v.refused.Limits
	if v.limits.tolerates(name) {
		list = &v.without
	}
	if !slices.Contains(*list, name) { // as one of two sizes, or files
		*list = append(*list, name)
	}
	if list == &v.without || strings.Contains(v.refused.Why, why.Error()) {
		return // memory and swap have their controller in common
	}
	if v.refused.Why != "" {
		v.refused.Why += "; "
	}
	v.refused.Why += why.Error()
}

// err is the refusal, or nil.
func (v *verdicts) err() error {
	if v.refused.Limits == nil {
		return nil
	}
	return &v.refused
}
