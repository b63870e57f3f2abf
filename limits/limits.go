package limits

import (
	"path"
	"slices"
)

// Limits is what one app may use: a plain value. A zero cgroup field is a limit not asked for.
type Limits struct {
	Jobs          int      // registered at once
	Activations   int      // activated and not complete
	QueueBytes    int64    // data held in the supervisor
	Processes     int      // of its agents, alive at once; 0: no limit
	JobsOf        []Of     // parts of Jobs
	ActivationsOf []Of     // parts of Activations
	Types         []string // event types it may register, "socket.*" means all below; empty: all
	Agents        []string // agents its handlers may run on; empty: all
	PriorityMax   int      // the highest level its registrations and boosts may use

	Memory     int64   // bytes
	Swap       int64   // bytes of swap beside Memory; zero or less: none. Without Memory it is not asked for
	MemoryHigh int64   // bytes from which on the app is slowed down
	MemoryLow  int64   // bytes that are taken from others first
	PIDs       int64   // processes and threads
	CPU        float64 // cores
	CPUPeriod  int64   // µs in which they are counted; 0: the kernel's usual 100 ms
	CPUWeight  int     // share of busy cores, 1 to 10000; who has none has 100
	CPUShares  int     // the same as cgroup v1 counts it, 2 to 262144; who has none has 1024
	CPUSet     string  // cores it may run on, as "0-1,4"
	MemorySet  string  // memory nodes, as CPUSet
	IO         IO
	HugeTLB    []HugeTLB
	Unified    []Raw

	Kill      bool     // leaves that are killed as a whole are required, not only used where the host has them
	OnMissing []string // limits that the app goes on without: Names
}

// IO limits what the app does with block devices.
type IO struct {
	Weight  int // share of busy disks, 1 to 1000; who has none has 100
	Devices []Device
}

// Device is one disk's limits, by path: of its node, or of anything in its file system; or by "MAJOR:MINOR". Zero is no
// limit.
type Device struct {
	Path                                 string
	ReadBytes, WriteBytes, Reads, Writes int64 // a second
}

// HugeTLB is the limit on huge pages of one size, as "2MB". Zero bytes means none of them.
type HugeTLB struct {
	Size  string
	Bytes int64
}

// Raw is what is written to a file of cgroup v2 as it stands.
type Raw struct{ File, Text string }

// Names are the limits that a host may lack, as OnMissing has them.
var Names = [...]string{"memory", swap, "memory_high", "memory_low", "pids", "cpu", "cpu_weight", "cpuset", "io", "hugetlb", "unified", kill}

// Of is a limit on a part: what is of some event types, or runs on some agent.
type Of struct {
	What string // an event type, "socket.*" means all below, or an agent
	Most int
}

// Counts reports whether an event type on an agent is part of it.
func (o Of) Counts(typ, agent string) bool { return o.What == agent || typeMatches(o.What, typ) }

// AllowsType reports whether the app may register events of type t.
func (l Limits) AllowsType(t string) bool {
	return len(l.Types) == 0 || slices.ContainsFunc(l.Types, func(pattern string) bool { return typeMatches(pattern, t) })
}

func typeMatches(pattern, t string) bool {
	ok, err := path.Match(pattern, t)
	return ok && err == nil
}

// AllowsAgent reports whether the app's handlers may run on agent a.
func (l Limits) AllowsAgent(a string) bool {
	return len(l.Agents) == 0 || slices.Contains(l.Agents, a)
}

// NeedsCgroup reports whether any of the limits can only be enforced by a cgroup.
func (l Limits) NeedsCgroup() bool {
	return l.Kill || len(l.asked()) > 0
}

// tolerates reports whether the app goes on without a limit of that name. Swap is what is had beside memory: without a
// memory limit there is none to hold to.
func (l Limits) tolerates(name string) bool {
	return slices.Contains(l.OnMissing, name) || name == swap && slices.Contains(l.OnMissing, "memory")
}
