package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Kinds of namespaces, as clone3 and setns take them (man 7 namespaces).
const (
	CLONE_NEWNS   = unix.CLONE_NEWNS
	CLONE_NEWPID  = unix.CLONE_NEWPID
	CLONE_NEWNET  = unix.CLONE_NEWNET
	CLONE_NEWIPC  = unix.CLONE_NEWIPC
	CLONE_NEWUTS  = unix.CLONE_NEWUTS
	CLONE_NEWUSER = unix.CLONE_NEWUSER

	CLONE_CHILD_SETTID = unix.CLONE_CHILD_SETTID // the child's number, as it sees it, goes to CloneArgs.ChildTID
)

// System calls that change namespaces and mounts, by number, and their arguments.
const (
	SYS_SETNS         = unix.SYS_SETNS
	SYS_MOUNT         = unix.SYS_MOUNT
	SYS_MOUNT_SETATTR = unix.SYS_MOUNT_SETATTR
	SYS_SOCKET        = unix.SYS_SOCKET
	SYS_IOCTL         = unix.SYS_IOCTL
	SYS_EXECVEAT      = unix.SYS_EXECVEAT
	SYS_FCHDIR        = unix.SYS_FCHDIR
	SYS_CHROOT        = unix.SYS_CHROOT

	MS_BIND       = unix.MS_BIND // man 2 mount
	MS_REC        = unix.MS_REC
	MS_PRIVATE    = unix.MS_PRIVATE
	MS_NOSUID     = unix.MS_NOSUID
	MS_NODEV      = unix.MS_NODEV
	MS_NOEXEC     = unix.MS_NOEXEC
	AT_EMPTY_PATH = unix.AT_EMPTY_PATH // man 2 openat
	AF_INET       = unix.AF_INET       // man 7 netdevice
	SOCK_DGRAM    = unix.SOCK_DGRAM
	SIOCSIFFLAGS  = unix.SIOCSIFFLAGS
	SIGCHLD       = int(unix.SIGCHLD)
	SIG_IGN       = 1 // asm-generic/signal-defs.h
)

// MountAttr is struct mount_attr (man 2 mount_setattr, Linux 5.12).
type MountAttr unix.MountAttr

// MountAttrSize is what mount_setattr wants to be told of it.
const MountAttrSize = unix.MOUNT_ATTR_SIZE_VER0

// MOUNT_ATTR_RDONLY makes a mount read-only.
const MOUNT_ATTR_RDONLY = unix.MOUNT_ATTR_RDONLY

// Ifreq is struct ifreq (man 7 netdevice) with the flags of an interface.
type Ifreq struct {
	Name  [unix.IFNAMSIZ]byte
	Flags uint16
	_     [22]byte
}

var _ [40]byte = [unsafe.Sizeof(Ifreq{})]byte{}

// IFF_UP has an interface take part.
const IFF_UP = unix.IFF_UP

// Setns puts the calling thread, or with CLONE_NEWPID its children, into namespaces of the process of a pidfd (man 2
// setns, Linux 5.8).
func Setns(pidfd, kinds int) error { return unix.Setns(pidfd, kinds) }

// OpenDirectory opens a directory to name it only, man 2 openat.
func OpenDirectory(path string) (int, error) {
	return unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// MountID is the number of the mount that a path leads to, as in the first field of man 5 proc_pid_mountinfo.
func MountID(path string) (uint64, error) {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_NO_AUTOMOUNT|unix.AT_SYMLINK_NOFOLLOW, unix.STATX_MNT_ID, &st)
	return st.Mnt_id, err
}

// MemfdExecutable makes an anonymous file that can be executed. MFD_EXEC came with Linux 6.3; with the sysctl
// vm.memfd_noexec = 2 a host refuses it.
func MemfdExecutable(name string) (int, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_EXEC)
	if err == unix.EINVAL {
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	}
	return fd, err
}

// PipeBlocking makes a pipe of which both ends block, man 2 pipe2.
func PipeBlocking() (read, write int, err error) {
	var ends [2]int
	err = unix.Pipe2(ends[:], unix.O_CLOEXEC)
	return ends[0], ends[1], err
}
