package limits

import (
	"fmt"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// limit is one limit that a cgroup enforces.
type limit struct {
	name       string
	controller string
	v1, v2     string // the file that has to be there
	counted    bool   // hits are told per leaf, so leaves need the controller too
	asked      func(Limits) bool
	resources  func(Limits) *specs.LinuxResources
}

// enforced is every limit that a cgroup enforces, in the order they are written. On v1 memory comes before swap, because
// memory.memsw.limit_in_bytes may not be the smaller of the two (Documentation/admin-guide/cgroup-v1/memory.rst).
var enforced = []limit{
	{
		name: "memory", controller: "memory", v1: "memory.limit_in_bytes", v2: "memory.max", counted: true,
		asked: func(l Limits) bool { return l.Memory > 0 },
		resources: func(l Limits) *specs.LinuxResources {
			return &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &l.Memory}}
		},
	},
	{
		name: swap, controller: "memory", v1: "memory.memsw.limit_in_bytes", v2: "memory.swap.max",
		asked: func(l Limits) bool { return l.Memory > 0 },
		resources: func(l Limits) *specs.LinuxResources {
			both := l.Memory + max(l.Swap, 0) // OCI counts swap as v1 does: memory and swap together
			return &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &l.Memory, Swap: &both}}
		},
	},
	{
		name: "pids", controller: "pids", v1: "pids.max", v2: "pids.max", counted: true,
		asked: func(l Limits) bool { return l.PIDs > 0 },
		resources: func(l Limits) *specs.LinuxResources {
			return &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &l.PIDs}}
		},
	},
	{
		name: "cpu", controller: "cpu", v1: "cpu.cfs_quota_us", v2: "cpu.max",
		asked: func(l Limits) bool { return l.CPU > 0 },
		resources: func(l Limits) *specs.LinuxResources {
			const period = 100_000 // µs, the kernel's own (Documentation/scheduler/sched-bwc.rst)
			each, quota := uint64(period), int64(l.CPU*period)
			return &specs.LinuxResources{CPU: &specs.LinuxCPU{Period: &each, Quota: &quota}}
		},
	},
}

// The limits with rules of their own.
const (
	swap = "swap" // nothing to enforce on a host without swap space, and gone together with memory
	kill = "kill" // not a number: leaves that can be killed as a whole
)

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
	if v.limits.tolerates(name) {
		v.without = append(v.without, name)
		return
	}
	v.refused.Limits = append(v.refused.Limits, name)
	if strings.Contains(v.refused.Why, why.Error()) {
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
