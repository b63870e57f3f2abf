package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Flags of clone3 (man 2 clone3, linux/sched.h).
const (
	CLONE_VM            = unix.CLONE_VM
	CLONE_FILES         = unix.CLONE_FILES
	CLONE_PIDFD         = unix.CLONE_PIDFD // Linux 5.2
	CLONE_VFORK         = unix.CLONE_VFORK
	CLONE_CLEAR_SIGHAND = unix.CLONE_CLEAR_SIGHAND // Linux 5.5
	CLONE_INTO_CGROUP   = unix.CLONE_INTO_CGROUP   // Linux 5.7
)

// CloneArgs is struct clone_args, linux/sched.h, in its form of Linux 5.7.
type CloneArgs struct {
	Flags, PIDFD, ChildTID, ParentTID uint64
	ExitSignal                        uint64
	Stack, StackSize, TLS             uint64
	SetTID, SetTIDSize                uint64
	Cgroup                            uint64
}

var _ [88]byte = [unsafe.Sizeof(CloneArgs{})]byte{} // CLONE_ARGS_SIZE_VER2

// System calls that a new process makes before it executes its program, by number (asm/unistd.h).
const (
	SYS_CLOSE_RANGE    = unix.SYS_CLOSE_RANGE
	SYS_SETSID         = unix.SYS_SETSID
	SYS_PRLIMIT64      = unix.SYS_PRLIMIT64
	SYS_DUP3           = unix.SYS_DUP3
	SYS_WRITE          = unix.SYS_WRITE
	SYS_PRCTL          = unix.SYS_PRCTL
	SYS_SETGROUPS      = unix.SYS_SETGROUPS
	SYS_SETRESGID      = unix.SYS_SETRESGID
	SYS_SETRESUID      = unix.SYS_SETRESUID
	SYS_CAPSET         = unix.SYS_CAPSET
	SYS_CHDIR          = unix.SYS_CHDIR
	SYS_UMASK          = unix.SYS_UMASK
	SYS_RT_SIGACTION   = unix.SYS_RT_SIGACTION
	SYS_RT_SIGPROCMASK = unix.SYS_RT_SIGPROCMASK
	SYS_SECCOMP        = unix.SYS_SECCOMP
	SYS_EXECVE         = unix.SYS_EXECVE
	SYS_EXIT_GROUP     = unix.SYS_EXIT_GROUP

	SYS_SETPRIORITY       = unix.SYS_SETPRIORITY
	SYS_IOPRIO_SET        = unix.SYS_IOPRIO_SET
	SYS_SCHED_SETAFFINITY = unix.SYS_SCHED_SETAFFINITY
	SYS_SCHED_SETATTR     = unix.SYS_SCHED_SETATTR
	SYS_OPENAT            = unix.SYS_OPENAT
	SYS_CLOSE             = unix.SYS_CLOSE

	SYS_LANDLOCK_RESTRICT_SELF = unix.SYS_LANDLOCK_RESTRICT_SELF
)

// Arguments of those system calls.
const (
	CLOSE_RANGE_UNSHARE     = unix.CLOSE_RANGE_UNSHARE // man 2 close_range, Linux 5.9
	RLIMIT_NOFILE           = unix.RLIMIT_NOFILE       // man 2 prlimit
	RLIM_NLIMITS            = 16                       // asm-generic/resource.h
	PR_CAPBSET_DROP         = unix.PR_CAPBSET_DROP     // man 2 prctl
	PR_SET_NO_NEW_PRIVS     = unix.PR_SET_NO_NEW_PRIVS
	SIG_SETMASK             = unix.SIG_SETMASK // man 2 sigprocmask
	SECCOMP_SET_MODE_FILTER = unix.SECCOMP_SET_MODE_FILTER
	CAP_SETPCAP             = unix.CAP_SETPCAP // man 7 capabilities
	CAP_SYS_RESOURCE        = unix.CAP_SYS_RESOURCE
	PRIO_PROCESS            = unix.PRIO_PROCESS
	IOPRIO_WHO_PROCESS      = 1 // linux/ioprio.h
	O_WRONLY                = unix.O_WRONLY
	PR_SET_KEEPCAPS         = unix.PR_SET_KEEPCAPS
	PR_CAP_AMBIENT          = unix.PR_CAP_AMBIENT
	PR_CAP_AMBIENT_RAISE    = unix.PR_CAP_AMBIENT_RAISE
)

// Rlimit is struct rlimit64, linux/resource.h.
type Rlimit struct{ Cur, Max uint64 }

// Capabilities is what capset takes: struct __user_cap_header_struct, then two of struct __user_cap_data_struct
// (linux/capability.h). The zero sets of version 3 are no capability at all.
type Capabilities struct {
	Header struct {
		Version uint32
		PID     int32
	}
	Data [2]struct{ Effective, Permitted, Inheritable uint32 }
}

// LINUX_CAPABILITY_VERSION_3 is the only version with 64 capabilities.
const LINUX_CAPABILITY_VERSION_3 = unix.LINUX_CAPABILITY_VERSION_3

// Sigaction is the kernel's struct sigaction (asm/signal.h), not that of libc; zero is SIG_DFL.
type Sigaction struct{ Handler, Flags, Restorer, Mask uint64 }

// SigsetSize is sizeof(sigset_t) of the kernel, which rt_sigaction and rt_sigprocmask want to be told.
const SigsetSize = 8

// Getresuid returns the real, effective and saved user id of the process (man 2 getresuid).
func Getresuid() [3]int {
	r, e, s := unix.Getresuid()
	return [3]int{r, e, s}
}

// Getresgid returns the real, effective and saved group id of the process (man 2 getresgid).
func Getresgid() [3]int {
	r, e, s := unix.Getresgid()
	return [3]int{r, e, s}
}

// Getgroups returns the supplementary groups of the process (man 2 getgroups).
func Getgroups() ([]int, error) { return unix.Getgroups() }
