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

// Boottime is CLOCK_BOOTTIME in nanoseconds: like CLOCK_MONOTONIC, and it goes on while the machine sleeps.
func Boottime() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("aem: internal error: clock_gettime: " + err.Error()) // as above
	}
	return ts.Nano()
}

// ClockSet makes a timer that polls readable each time CLOCK_REALTIME is set, or the machine comes back from sleep:
// TFD_TIMER_CANCEL_ON_SET, man 2 timerfd_create. It never expires.
func ClockSet() (fd int, err error) {
	if fd, err = unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return -1, err
	}
	never := unix.ItimerSpec{Value: unix.Timespec{Sec: 1<<33 - 1}} // in the year 2242; the kernel's own time ends in 2262
	if err = unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, &never, nil); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// ClockWasSet makes the timer of ClockSet unreadable until the next time, and reports whether it was readable.
func ClockWasSet(fd int) bool {
	var expired [8]byte
	_, err := unix.Read(fd, expired[:])
	return err == unix.ECANCELED
}
