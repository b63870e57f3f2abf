package sys

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Operations of man 2 futex, on memory that no other process sees (linux/futex.h).
const (
	futexWaitPrivate = 0 | 128
	futexWakePrivate = 1 | 128
)

// FutexWait sleeps while word is 0, until FutexWake; it may also return for no reason.
func FutexWait(word *atomic.Uint32) {
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWaitPrivate, 0, 0, 0, 0) //nolint:errcheck // as said
}

// FutexWake wakes the thread that sleeps in FutexWait, if one does.
func FutexWake(word *atomic.Uint32) {
	unix.Syscall(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWakePrivate, 1) //nolint:errcheck // the word is mapped
}
