package sys

import (
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// SignalName is the name of a signal without SIG, as "KILL"; "35" for one without a name.
func SignalName(s syscall.Signal) string {
	name := unix.SignalName(s)
	if name == "" {
		return s.String()
	}
	return strings.TrimPrefix(name, "SIG")
}

// KillGroup sends a signal to a process group, man 2 kill. The leader must not have been reaped, so that the number is
// still the group's. That nobody is left in it is no error.
func KillGroup(leader int, sig syscall.Signal) {
	unix.Kill(-leader, sig) //nolint:errcheck // as said
}

// WriteAt writes all of b at the start of fd and leaves its offset where it is, man 2 pwrite.
func WriteAt(fd int, b []byte) error {
	for at := 0; at < len(b); {
		n, err := unix.Pwrite(fd, b[at:], int64(at))
		if err != nil && err != unix.EINTR {
			return err
		}
		at += max(n, 0)
	}
	return nil
}
