package executor

import (
	"fmt"

	"github.com/aem-exec/aem-exec/internal/spawn"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// Scheduling is how the kernel treats a handler's process or thread among others. What is not set is as the
// supervisor's.
type Scheduling struct {
	Nice        *int
	CPUs        []int // it may run on
	IOPriority  int   // process: in the form of man 2 ioprio_set; 0: not set
	OOMScoreAdj *int  // process: man 5 proc_pid_oom_score_adj
	Realtime    int   // thread: its priority in the class SCHED_RR; 0: it is not in that
}

func (s *Scheduling) ofProcess() spawn.Scheduling {
	return spawn.Scheduling{Nice: s.Nice, CPUs: s.cpus(), IOPriority: s.IOPriority, OOMScoreAdj: s.OOMScoreAdj}
}

func (s *Scheduling) cpus() *sys.CPUSet {
	if s.CPUs == nil {
		return nil
	}
	set := new(sys.CPUSet)
	for _, cpu := range s.CPUs {
		set.Set(cpu)
	}
	return set
}

// ofThread gives the calling thread what a handler's thread is to have.
func (s *Scheduling) ofThread() error {
	if s.Nice != nil {
		if err := sys.SetNice(*s.Nice); err != nil {
			return fmt.Errorf("set nice value %d: %w", *s.Nice, err)
		}
	}
	if cpus := s.cpus(); cpus != nil {
		if err := sys.SetAffinity(cpus); err != nil {
			return fmt.Errorf("set affinity: %w", err)
		}
	}
	if s.Realtime > 0 {
		return RunRealtime(s.Realtime)
	}
	return nil
}

// RunRealtime puts the calling thread into the class SCHED_RR.
func RunRealtime(priority int) error {
	if err := sys.SetRoundRobin(priority); err != nil {
		return fmt.Errorf("set realtime priority %d: %w (CAP_SYS_NICE or RLIMIT_RTPRIO; with cgroup v1, cpu.rt_runtime_us of the "+
			"supervisor's cpu group, which is 0 in a new one)", priority, err)
	}
	return nil
}
