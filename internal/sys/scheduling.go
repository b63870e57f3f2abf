package sys

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// SchedAttr is struct sched_attr of include/uapi/linux/sched/types.h. Runtime is the time slice of the fair classes, in
// nanoseconds (Linux 6.12).
type SchedAttr = unix.SchedAttr

// The classes and flags of man 7 sched, and the bounds of a time slice (kernel/sched/syscalls.c, __setparam_fair).
const (
	SCHED_OTHER              = unix.SCHED_NORMAL
	SCHED_FIFO               = unix.SCHED_FIFO
	SCHED_RR                 = unix.SCHED_RR
	SCHED_BATCH              = unix.SCHED_BATCH
	SCHED_DEADLINE           = unix.SCHED_DEADLINE
	SCHED_FLAG_RESET_ON_FORK = unix.SCHED_FLAG_RESET_ON_FORK

	SliceLeast = 100_000     // ns
	SliceMost  = 100_000_000 // ns
)

// Scheduling is how a thread is scheduled, 0 for the calling one. In the real-time classes Nice is what holds when it
// leaves them, which sched_getattr does not tell.
func Scheduling(tid int) (a SchedAttr, err error) {
	got, err := unix.SchedGetAttr(tid, 0)
	if err != nil {
		return a, err
	}
	a = *got
	a.Util_min, a.Util_max = 0, 0 // nobody here sets them
	if a.Policy == SCHED_FIFO || a.Policy == SCHED_RR {
		raw, err := unix.Getpriority(unix.PRIO_PROCESS, tid)
		if err != nil {
			return a, err
		}
		a.Nice = int32(20 - raw) // as in Nice
	}
	return a, nil
}

// SetScheduling schedules a thread so, 0 for the calling one.
func SetScheduling(tid int, a *SchedAttr) error { return unix.SchedSetAttr(tid, a, 0) }

// IsThread reports whether a thread is one of process pid.
func IsThread(pid, tid int) bool { return unix.Tgkill(pid, tid, syscall.Signal(0)) == nil }
