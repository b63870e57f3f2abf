package sys

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// PeerPIDFD makes a descriptor of the process that connected a UNIX socket, which names that process and no later one of
// its number (man 7 unix, SO_PEERPIDFD, Linux 6.5: ENOPROTOOPT before it).
func PeerPIDFD(fd int) (int, error) {
	return unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PEERPIDFD)
}

// OpenMemory opens the memory that process pid has now (man 5 proc_pid_mem). The kernel judges that as it does an attach
// of ptrace, once: after an execve, or the process's end, the descriptor still is of the memory that was, and nothing can
// be written there. uid is whose memory it is: that of root if the process is not dumpable.
func OpenMemory(pid int) (fd int, uid uint32, err error) {
	if fd, err = unix.Open(fmt.Sprintf("/proc/%d/mem", pid), unix.O_WRONLY|unix.O_CLOEXEC, 0); err != nil {
		return -1, 0, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return -1, 0, err
	}
	return fd, st.Uid, nil
}

// WriteMemory writes local bytes to one place in the memory of a descriptor of OpenMemory (man 2 pwritev). It may write
// less than asked, and nothing when that memory is gone. Like ProcessVMWritev it enters the kernel as a system call that
// may block.
func WriteMemory(fd int, local []Iovec, place uintptr) (int, error) {
	n, _, errno := unix.Syscall6(unix.SYS_PWRITEV, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(local))), uintptr(len(local)), place, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// ErrNoPeerPIDFD is what PeerPIDFD fails with on a kernel that is too old for it.
const ErrNoPeerPIDFD = syscall.ENOPROTOOPT

// LetTrace lets one process, and what runs under it, do to this one what Yama leaves to its parents otherwise; 0 lets nobody
// (man 2 PR_SET_PTRACER). Without Yama nothing is to be let.
func LetTrace(pid int) {
	unix.Prctl(unix.PR_SET_PTRACER, uintptr(pid), 0, 0, 0) //nolint:errcheck // EINVAL: there is no Yama
}
