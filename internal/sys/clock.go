package sys

import (
	"golang.org/x/sys/unix"
)

// Monotonic is CLOCK_MONOTONIC in nanoseconds, man 2 clock_gettime.
func Monotonic() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("aem: internal error: clock_gettime: " + err.Error()) // the clock and the pointer are always valid
	}
	return ts.Nano()
}

// ExactSleep sets how much later than asked the calling thread may wake to 1 ns, from the default 50 us:
// PR_SET_TIMERSLACK, man 2 PR_SET_TIMERSLACK.
func ExactSleep() error { return unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) }
