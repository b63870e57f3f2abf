package procwatch

import (
	"path"
	"slices"
	"syscall"
)

// Spec says which processes a view is told of: one of the four.
type Spec struct {
	PID     int
	PIDFile string // whose process is looked for again when one is over
	Exe     string // a program's path, or a pattern of path.Match
	Cgroup  string // a path in any hierarchy, as /proc/PID/cgroup has it: this one and those below
}

// many reports whether it may be any number of processes.
func (s Spec) many() bool { return s.Exe != "" || s.Cgroup != "" }

// How is how a process ended, in one word.
type How string

// The ways.
const (
	Exited   How = "exit"
	Signaled How = "signal"
	Unknown  How = "unknown" // the kernel did not tell
	Lost     How = "lost"    // no process: some may have ended unseen
)

// Exit tells of a process that is over.
type Exit struct {
	View   uint64
	How    How
	PID    int
	Code   int // -1 unless it exited
	Signal syscall.Signal
	Core   bool   // it left a core dump
	Exe    string // as last seen; "" if never
	Comm   string
}

// view is one that is watched for.
type view struct {
	id      uint64
	spec    Spec
	process *process // of PID and PIDFile: the one that is watched, nil while it is not there
	told    string   // what is wrong with the file, as it was told
}

// process is one that some view wants to know of.
type process struct {
	pid       int
	began     uint64
	readAt    int64 // CLOCK_MONOTONIC, before what follows was read
	exe, comm string
	cgroups   []string
	views     []*view
	first     uint32 // status of its first thread, which most often is the process's
	firstOver bool   // that has ended
	last      uint32 // of the thread that ended last
	isOver    bool   // in Watcher.over
	pidfd     int    // where there is no connector; else 0
	deadline  int64  // of one that is over: until when its parent may take to wait for it; 0: it is not over
}

// wants reports whether a view of many is told of a process.
func (v *view) wants(p *process) bool {
	if v.spec.Exe != "" {
		ok, err := path.Match(v.spec.Exe, p.exe)
		return p.exe != "" && ok && err == nil
	}
	return slices.ContainsFunc(p.cgroups, func(c string) bool { return below(c, v.spec.Cgroup) })
}
