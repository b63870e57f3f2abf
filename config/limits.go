package config

import (
	"slices"

	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/limits"
)

// resources reads the file that stands for the keys of a cgroup's limits. What the app's table of limits states of them
// beside it would say the same thing twice.
func (d *decoder) resources(a *app, stated any) {
	if a.resources == "" {
		return
	}
	at, table := a.at+".limits", map[string]any{}
	if t, ok := stated.(map[string]any); ok {
		table = t
	}
	for _, k := range cgroupKeys(a) {
		if table[k.name] != nil {
			d.errorIn(at, k.name, "resources stands instead of %s", k.name)
		}
	}
	l, err := limits.LoadResources(d.absolute(a.resources))
	if err != nil {
		d.errorf(at+".resources", "%v", err)
	}
	own := &a.Limits
	own.Memory, own.Swap, own.MemoryHigh, own.MemoryLow = l.Memory, l.Swap, l.MemoryHigh, l.MemoryLow
	own.PIDs, own.CPU, own.CPUPeriod, own.CPUShares = l.PIDs, l.CPU, l.CPUPeriod, l.CPUShares
	own.CPUSet, own.MemorySet, own.IO, own.HugeTLB, own.Unified = l.CPUSet, l.MemorySet, l.IO, l.HugeTLB, l.Unified
}

// jobsOf is how many jobs the app declares that count for a portion of them.
func (a *app) jobsOf(of limits.Of) (n int) {
	for _, e := range a.Events {
		for _, h := range a.handlers {
			if e.Source != nil && slices.Contains(e.Handlers, h.Name) && of.Counts(e.Source.Type(), string(h.Agent)) {
				n++
			}
		}
	}
	return n
}

// leastProcesses is how many processes must be able to live at once, so that every handler can have one.
func (a *app) leastProcesses() int {
	residents, others := 0, 0
	for _, h := range a.handlers {
		switch {
		case h.Agent != executor.Process:
		case h.Life == executor.Resident:
			residents += h.Size
		case h.Life == executor.Zygote:
			residents, others = residents+h.Size, 1
		default:
			others = 1
		}
	}
	return residents + others
}

// limits checks the app's limits against each other and against what it declares.
func (d *decoder) limits(a *app, jobs int) {
	at := a.at + ".limits"
	if a.Limits.Swap > 0 && a.Limits.Memory == 0 {
		d.errorIn(at, "swap", "swap is beside memory: memory is missing")
	}
	for _, soft := range []struct {
		key   string
		bytes int64
	}{{"memory_high", a.Limits.MemoryHigh}, {"memory_low", a.Limits.MemoryLow}} {
		if hard := a.Limits.Memory; hard > 0 && soft.bytes > hard {
			d.errorIn(at, soft.key, "%s is more than memory", soft.key)
		}
	}
	if a.Limits.Jobs > 0 && jobs > a.Limits.Jobs {
		d.errorIn(at, "jobs", "the app declares %d jobs, more than its limit of %d", jobs, a.Limits.Jobs)
	}
	for _, of := range a.Limits.JobsOf {
		if n := a.jobsOf(of); of.Most > 0 && n > of.Most {
			d.errorIn(at, "jobs_of", "the app declares %d jobs of %q, more than its limit of %d", n, of.What, of.Most)
		}
	}
	if least := a.leastProcesses(); a.Limits.Processes > 0 && a.Limits.Processes < least {
		d.errorIn(at, "processes", "the app's handlers need %d at least: each resident one, and one for all others", least)
	}
	for _, h := range a.handlers {
		if !a.Limits.AllowsAgent(string(h.Agent)) {
			d.errorIn(h.at, "agent", "the app's limits do not allow agent %s", h.Agent)
		}
	}
	a.Limits.Kill = slices.ContainsFunc(a.handlers, func(h *handler) bool {
		return h.LeftoverSet && h.Leftover == executor.KillLeftover
	})
}
