package source

import "syscall"

// nudgeClock sets CLOCK_REALTIME forward by a nanosecond, man 2 adjtimex.
func nudgeClock() error {
	const setOffset, nano = 0x100, 0x2000 // ADJ_SETOFFSET, ADJ_NANO
	_, err := syscall.Adjtimex(&syscall.Timex{Modes: setOffset | nano, Time: syscall.Timeval{Usec: 1}})
	return err
}
