package sys

import (
	"errors"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Options of a wait (man 2 waitid).
const (
	WEXITED = unix.WEXITED
	WNOHANG = unix.WNOHANG
	WNOWAIT = unix.WNOWAIT // leave the child as it is: it can be waited for again
	WALL    = unix.WALL    // also children that will not send SIGCHLD
)

// Exit is how a process ended: with a code, or by a signal when Signal is not 0.
type Exit struct {
	Code   int
	Signal syscall.Signal
	Core   bool // it left a core dump
}

// siginfo is siginfo_t as waitid fills it (asm-generic/siginfo.h, _sigchld).
type siginfo struct {
	signo, errno, code, _ int32
	pid                   int32
	uid                   uint32
	status                int32
	_                     [100]byte
}

var _ [unsafe.Sizeof(unix.Siginfo{})]byte = [unsafe.Sizeof(siginfo{})]byte{}

// Values of siginfo.code (asm-generic/siginfo.h).
const (
	cldExited = 1
	cldDumped = 3
)

// PidfdOpen makes a descriptor of a process (man 2 pidfd_open, Linux 5.3).
func PidfdOpen(pid int) (int, error) { return unix.PidfdOpen(pid, 0) }

// PidfdSendSignal sends a signal to the process of a pidfd (man 2 pidfd_send_signal, Linux 5.1).
func PidfdSendSignal(pidfd int, sig syscall.Signal) error {
	return unix.PidfdSendSignal(pidfd, sig, nil, 0)
}

// PidfdSignalGroup sends a signal to the process group whose number is that of a pidfd's process, which may have ended
// and even be reaped: the descriptor keeps the number from being taken for another's (Linux 6.9; EINVAL before it). That
// nobody is left in the group is ESRCH.
func PidfdSignalGroup(pidfd int, sig syscall.Signal) error {
	return unix.PidfdSendSignal(pidfd, sig, nil, unix.PIDFD_SIGNAL_PROCESS_GROUP)
}

// SignalsGroups is nil if PidfdSignalGroup works here.
func SignalsGroups() error {
	self, err := PidfdOpen(os.Getpid())
	if err != nil {
		return err
	}
	defer Close(self)                                                                //nolint:errcheck // a descriptor is given up whatever that returns
	if err := PidfdSignalGroup(self, 0); err != nil && !errors.Is(err, unix.ESRCH) { // no group has our number
		return err
	}
	return nil
}

// PidfdEnded reports whether a process has ended, child or not (man 2 pidfd_open: it polls readable then).
func PidfdEnded(pidfd int) bool {
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 0)
		if err != unix.EINTR {
			return n > 0
		}
	}
}

// ExitOf is how a process ended by its wait status, as waitpid gives it (man 2 wait). ok is false for a number that is
// no end.
func ExitOf(status uint32) (exit Exit, ok bool) {
	w := syscall.WaitStatus(status)
	switch {
	case status > 0xffff:
	case w.Exited():
		return Exit{Code: w.ExitStatus()}, true
	case w.Signaled():
		return Exit{Signal: w.Signal(), Core: w.CoreDump()}, true
	}
	return Exit{}, false
}

// WaitPIDFD waits until a child has ended, and reaps it; with nohang it only looks, and ok is false while it runs.
func WaitPIDFD(pidfd int, nohang bool) (exit Exit, ok bool, err error) {
	if nohang {
		return waitExit(pidfd, WEXITED|WALL|WNOHANG)
	}
	return waitExit(pidfd, WEXITED|WALL)
}

// PeekExit tells how a child ended and leaves it to be reaped; ok is false while it runs.
func PeekExit(pidfd int) (exit Exit, ok bool, err error) {
	return waitExit(pidfd, WEXITED|WALL|WNOHANG|WNOWAIT)
}

func waitExit(pidfd, options int) (exit Exit, ok bool, err error) {
	info, err := waitid(pidfd, options)
	if err != nil || info.pid == 0 {
		return Exit{}, false, err
	}
	if info.code == cldExited {
		return Exit{Code: int(info.status)}, true, nil
	}
	return Exit{Signal: syscall.Signal(info.status), Core: info.code == cldDumped}, true, nil
}

// PeekPIDFD is nil if waitid with these options has a child to wait for; it waits for nothing and reaps nothing.
func PeekPIDFD(pidfd, options int) error {
	_, err := waitid(pidfd, options|WNOHANG|WNOWAIT)
	return err
}

func waitid(pidfd, options int) (siginfo, error) {
	var info siginfo
	for {
		err := unix.Waitid(unix.P_PIDFD, pidfd, (*unix.Siginfo)(unsafe.Pointer(&info)), options, nil)
		if err != unix.EINTR {
			return info, err
		}
	}
}

// pidfdInfo is struct pidfd_info (linux/pidfd.h, as of its first version, PIDFD_INFO_SIZE_VER0).
type pidfdInfo struct {
	mask, cgroup    uint64
	pid, tgid, ppid uint32
	_               [8]uint32 // uids and gids
	exitCode        int32
}

var _ [64]byte = [unsafe.Sizeof(pidfdInfo{})]byte{}

const (
	pidfdGetInfo  = 3<<30 | unsafe.Sizeof(pidfdInfo{})<<16 | 0xff<<8 | 11 // PIDFD_GET_INFO, _IOWR(0xFF, 11, struct pidfd_info)
	pidfdInfoExit = 1 << 3                                                // PIDFD_INFO_EXIT, Linux 6.15
)

// PidfdExit tells how the process of a pidfd ended, be it a child or not, once its parent has waited for it; ok is
// false before that. Its error says that the kernel does not tell (PIDFD_GET_INFO, Linux 6.13).
func PidfdExit(pidfd int) (exit Exit, ok bool, err error) {
	info := pidfdInfo{mask: pidfdInfoExit}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(pidfd), pidfdGetInfo, uintptr(unsafe.Pointer(&info)))
	switch {
	case errno == unix.ESRCH: // it is over, and was not waited for yet
		return Exit{}, false, nil
	case errno != 0:
		return Exit{}, false, errno
	case info.mask&pidfdInfoExit == 0:
		return Exit{}, false, nil
	}
	exit, ok = ExitOf(uint32(info.exitCode))
	return exit, ok, nil
}
