package main

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// cpuTime is the processor time that processes have spent so far. One that is gone counts nothing.
func cpuTime(pids ...int) (total time.Duration) {
	for _, pid := range pids {
		const schedClock = 2 // CPUCLOCK_SCHED, include/linux/posix-timers_types.h: the clock of a whole process
		var ts syscall.Timespec
		syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, uintptr(^pid<<3|schedClock), uintptr(unsafe.Pointer(&ts)), 0) //nolint:errcheck // as said
		total += time.Duration(ts.Nano())
	}
	return total
}

// cpuSet is cpu_set_t of man 2 sched_setaffinity.
type cpuSet [16]uint64

// pin keeps processes on one CPU, with the threads and processes that they make from now on.
func pin(cpu int, pids ...int) error {
	var set cpuSet
	set[cpu/64] = 1 << (cpu % 64)
	return setAffinity(set, pids)
}

// everywhere lets processes run on every CPU again.
func everywhere(pids ...int) error {
	var all cpuSet
	for i := range all {
		all[i] = 1<<64 - 1
	}
	return setAffinity(all, pids)
}

// setAffinity does so for every thread. Twice: one made meanwhile has the affinity of who made it.
func setAffinity(set cpuSet, pids []int) error {
	for _, pid := range append(pids, pids...) {
		threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			return fmt.Errorf("set affinity: %w", err)
		}
		for _, t := range threads {
			tid, _ := strconv.Atoi(t.Name())
			_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, uintptr(tid), unsafe.Sizeof(set), uintptr(unsafe.Pointer(&set)))
			if errno != 0 && errno != syscall.ESRCH {
				return fmt.Errorf("set affinity of thread %d: %w", tid, errno)
			}
		}
	}
	return nil
}
