package sys

import "golang.org/x/sys/unix"

// Close closes a descriptor (man 2 close). It is gone even when an error is returned.
func Close(fd int) error { return unix.Close(fd) }

// CloseRange closes the descriptors from first to last (man 2 close_range, Linux 5.9).
func CloseRange(first, last int) error { return unix.CloseRange(uint(first), uint(last), 0) }

// Dup copies fd to the lowest free number from least on, close-on-exec (man 2 fcntl, F_DUPFD_CLOEXEC).
func Dup(fd, least int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, least) }

// DupTo makes the number to a close-on-exec copy of fd, in place of what it was (man 2 dup3).
func DupTo(fd, to int) error { return unix.Dup3(fd, to, unix.O_CLOEXEC) }
