package sys

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrnoName is the name of an error number, as "EAGAIN" (man 3 errno).
func ErrnoName(e syscall.Errno) string { return unix.ErrnoName(e) }
