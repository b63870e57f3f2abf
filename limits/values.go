package limits

import (
	"fmt"
	"strconv"
)

// Value is what one of the limits that a cgroup enforces is set to.
type Value struct {
	Limit string // the key, as memory or io."/dev/vda".rbps
	Value any    // int64, float64 or string
}

// Text is the value as the file has it.
func (v Value) Text() string {
	if f, ok := v.Value.(float64); ok {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return fmt.Sprint(v.Value)
}

// Values are the limits that are asked for of a cgroup, in the order of their keys.
func (l Limits) Values() (all []Value) {
	add := func(asked bool, limit string, value any) {
		if asked {
			all = append(all, Value{limit, value})
		}
	}
	add(l.Memory > 0, "memory", l.Memory)
	add(l.Memory > 0, swap, max(l.Swap, 0))
	add(l.MemoryHigh > 0, "memory_high", l.MemoryHigh)
	add(l.MemoryLow > 0, "memory_low", l.MemoryLow)
	add(l.PIDs > 0, "pids", l.PIDs)
	add(l.CPU > 0, "cpu", l.CPU)
	add(l.CPUWeight > 0, "cpu_weight", int64(l.CPUWeight))
	add(l.CPUShares > 0, "cpu_weight.shares", int64(l.CPUShares))
	add(l.CPUSet != "", "cpuset", l.CPUSet)
	add(l.MemorySet != "", "cpuset.mems", l.MemorySet)
	add(l.IO.Weight > 0, "io.weight", int64(l.IO.Weight))
	for _, d := range l.IO.Devices {
		for _, r := range d.rates() {
			add(r.limit > 0, fmt.Sprintf("io.%q.%s", d.Path, r.name), r.limit)
		}
	}
	for _, h := range l.HugeTLB {
		add(true, h.key(), h.Bytes)
	}
	for _, r := range l.Unified {
		add(true, fmt.Sprintf("unified.%q", r.File), r.Text)
	}
	return all
}

// key is the limit's key in the file.
func (h HugeTLB) key() string { return fmt.Sprintf("hugetlb.%q", h.Size) }

// rate is one of a disk's limits, by the kernel's own name.
type rate struct {
	name  string
	limit int64 // a second
}

func (d Device) rates() []rate {
	return []rate{{"rbps", d.ReadBytes}, {"wbps", d.WriteBytes}, {"riops", d.Reads}, {"wiops", d.Writes}}
}
