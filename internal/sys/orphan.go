package sys

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// BecomeSubreaper makes this process the parent of orphans among its descendants, man 2 PR_SET_CHILD_SUBREAPER.
func BecomeSubreaper() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// CloseToOthers keeps processes of the same user from tracing this one or reading its memory, man 2 PR_SET_DUMPABLE. A
// child that changes its user before it executes would do the same to us: it shares our memory then.
func CloseToOthers() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }

// ReapOrphan waits for a child that has ended. It reports false when the child lives.
func ReapOrphan(pid int) bool {
	got, err := unix.Wait4(pid, nil, unix.WNOHANG, nil)
	return got == pid || err == unix.ECHILD
}

// Session is the session of a process, man 2 getsid; 0 when it is gone.
func Session(pid int) int {
	sid, err := unix.Getsid(pid)
	if err != nil {
		return 0
	}
	return sid
}

// Kill sends a signal to a child that has not been reaped, so that its number is still its own.
func Kill(pid int, sig syscall.Signal) {
	unix.Kill(pid, sig) //nolint:errcheck // it has just ended
}
