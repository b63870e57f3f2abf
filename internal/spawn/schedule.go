package spawn

import (
	"errors"
	"fmt"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// Scheduling is how the kernel treats a process among others. What is not set is as ours.
type Scheduling struct {
	Nice        *int
	IOPriority  int         // in the form of man 2 ioprio_set; 0: not set
	CPUs        *sys.CPUSet // those it may run on
	OOMScoreAdj *int        // man 5 proc_pid_oom_score_adj
}

// scheduling is what is left of it to be done.
type scheduling struct {
	nice       *int
	ioPriority int
	cpus       *sys.CPUSet
	oom        []byte // the text to write
	oomFile    []byte
}

const oomScoreFile = "/proc/self/oom_score_adj"

func (s *Scheduling) check() error {
	switch {
	case s.Nice != nil && (*s.Nice < sys.NiceLeast || *s.Nice > sys.NiceMost):
		return fmt.Errorf("no such nice value: %d", *s.Nice)
	case s.CPUs != nil && s.CPUs.Count() == 0:
		return errors.New("no CPU to run on")
	case s.OOMScoreAdj != nil && (*s.OOMScoreAdj < -1000 || *s.OOMScoreAdj > 1000):
		return fmt.Errorf("no such oom_score_adj: %d", *s.OOMScoreAdj)
	}
	return nil
}

// compile leaves out what we are already.
func (s *Scheduling) compile() (c scheduling, err error) {
	if s.Nice != nil {
		now, err := sys.Nice()
		if err != nil {
			return c, fmt.Errorf("read own nice value: %w", err)
		}
		if *s.Nice != now {
			c.nice = s.Nice
		}
	}
	if s.IOPriority != 0 {
		if now, err := sys.IOPriority(); err != nil || now != s.IOPriority {
			c.ioPriority = s.IOPriority
		}
	}
	if s.CPUs != nil {
		if c.cpus, err = s.compileCPUs(); err != nil {
			return c, err
		}
	}
	return c, nil
}

// compileCPUs tries the CPUs: of those that it does not have, the kernel says nothing as long as it has one.
func (s *Scheduling) compileCPUs() (*sys.CPUSet, error) {
	now, err := sys.Affinity()
	if err != nil {
		return nil, fmt.Errorf("read own affinity: %w", err)
	}
	if *s.CPUs == now {
		return nil, nil
	}
	if err := sys.OnThread(func() error { return sys.SetAffinity(s.CPUs) }); err != nil {
		return nil, fmt.Errorf("set affinity: %w", err)
	}
	cpus := *s.CPUs
	return &cpus, nil
}

// schedule comes before all that takes the right to raise something.
func schedule(l *list, p *Plan, _ *Vars) {
	s := &p.scheduling
	if s.nice != nil {
		l.add("nice", sys.SYS_SETPRIORITY, sys.PRIO_PROCESS, 0, uintptr(*s.nice))
	}
	if s.ioPriority != 0 {
		l.add("ioprio", sys.SYS_IOPRIO_SET, sys.IOPRIO_WHO_PROCESS, 0, uintptr(s.ioPriority))
	}
	if s.oom == nil {
		return
	}
	const fd = 0 // the lowest, and everything below the set is closed
	l.add("oom_score_adj", sys.SYS_OPENAT, 0, address(&s.oomFile[0]), sys.O_WRONLY)
	l.add("oom_score_adj", sys.SYS_WRITE, fd, address(&s.oom[0]), uintptr(len(s.oom)))
	l.add("oom_score_adj", sys.SYS_CLOSE, fd)
}

// chooseCPUs comes after the cgroups: to join one with CPUs of its own gives these (kernel/cgroup/cpuset.c).
func chooseCPUs(l *list, p *Plan, _ *Vars) {
	if cpus := p.scheduling.cpus; cpus != nil {
		l.add("affinity", sys.SYS_SCHED_SETAFFINITY, 0, uintptr(len(cpus)*8), address(cpus))
	}
}

// boost comes after the cgroups: a group of version 1 takes no thread in a real-time class that it has no time for, and
// lets none into such a class (kernel/sched/rt.c, sched_rt_can_attach).
func boost(l *list, _ *Plan, v *Vars) {
	l.schedules = append(l.schedules[:0], v.Schedules...)
	for i := range l.schedules {
		l.add("boost", sys.SYS_SCHED_SETATTR, 0, address(&l.schedules[i]), 0)
	}
}
