package sys

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Limits of scheduling attributes (man 2 setpriority, man 7 sched).
const (
	NiceLeast     = -20
	NiceMost      = 19
	RealtimeLeast = 1
	RealtimeMost  = 99
)

// CPUSet is a set of CPUs, as man 2 sched_setaffinity takes it: of numbers below CPUs.
type CPUSet = unix.CPUSet

// CPUs is how many CPUs a CPUSet can name.
const CPUs = int(unsafe.Sizeof(CPUSet{})) * 8

// Nice is the nice value of the calling thread.
func Nice() (int, error) {
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	return 20 - raw, err // the system call answers so, to have no negative values (man 2 getpriority)
}

// SetNice sets the nice value of the calling thread.
func SetNice(nice int) error { return unix.Setpriority(unix.PRIO_PROCESS, 0, nice) }

// IOPriority is the calling thread's, man 2 ioprio_get.
func IOPriority() (int, error) {
	p, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, IOPRIO_WHO_PROCESS, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(p), nil
}

// Affinity is the CPUs that the calling thread may run on.
func Affinity() (set CPUSet, err error) {
	err = unix.SchedGetaffinity(0, &set)
	return set, err
}

// SetAffinity has the calling thread run on these CPUs. The kernel would leave out in silence what it does not have or
// may not give: that is an error here.
func SetAffinity(set *CPUSet) error {
	if err := unix.SchedSetaffinity(0, set); err != nil {
		return err
	}
	got, err := Affinity()
	if err == nil && got != *set {
		err = fmt.Errorf("of these %d CPUs only %d may be used here", set.Count(), got.Count())
	}
	return err
}

// SetRoundRobin puts the calling thread into the class SCHED_RR; threads and processes that it makes are not in it.
func SetRoundRobin(priority int) error {
	attr := unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: uint32(priority), Flags: unix.SCHED_FLAG_RESET_ON_FORK,
	}
	return unix.SchedSetAttr(0, &attr, 0)
}

// OnThread has f called on a thread of its own that ends with it: what f does to its thread reaches nobody else.
func OnThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked
		done <- f()
	}()
	return <-done
}
