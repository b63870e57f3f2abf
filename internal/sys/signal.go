package sys

import (
	"strings"
	"syscall"
	"unsafe"

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

// Flags of a Sigaction, man 2 sigaction; asm-generic/signal-defs.h.
const (
	SA_SIGINFO  = 0x4
	SA_RESTORER = 0x04000000
	SA_ONSTACK  = 0x08000000
	SA_RESTART  = 0x10000000
)

// Who sent a signal: si_code, asm-generic/siginfo.h.
const (
	SI_USER  = 0  // kill
	SI_QUEUE = -1 // sigqueue
	SI_TIMER = -2
	SI_MESGQ = -3
	SI_TKILL = -6 // tgkill, and raise
)

// SizeofSiginfo is SI_MAX_SIZE, asm-generic/siginfo.h.
const SizeofSiginfo = 128

// SetSigaction changes what a signal does to this process, and says what it did before; man 2 rt_sigaction. It goes past
// the Go runtime, which must have no use for the signal, or get it back as it was.
func SetSigaction(sig syscall.Signal, action, before *Sigaction) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(action)), uintptr(unsafe.Pointer(before)), SigsetSize, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// BlockedSignals is the set of signals that the calling thread blocks; the first bit is that of signal 1.
func BlockedSignals() uint64 {
	var set unix.Sigset_t
	unix.PthreadSigmask(unix.SIG_BLOCK, nil, &set) //nolint:errcheck // nothing is asked that could be refused
	return set.Val[0]
}
