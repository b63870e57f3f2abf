package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Rights to files that a Landlock ruleset can take and a rule give (man 7 landlock, linux/landlock.h).
const (
	LANDLOCK_ACCESS_FS_EXECUTE      = unix.LANDLOCK_ACCESS_FS_EXECUTE
	LANDLOCK_ACCESS_FS_WRITE_FILE   = unix.LANDLOCK_ACCESS_FS_WRITE_FILE
	LANDLOCK_ACCESS_FS_READ_FILE    = unix.LANDLOCK_ACCESS_FS_READ_FILE
	LANDLOCK_ACCESS_FS_READ_DIR     = unix.LANDLOCK_ACCESS_FS_READ_DIR
	LANDLOCK_ACCESS_FS_REMOVE_DIR   = unix.LANDLOCK_ACCESS_FS_REMOVE_DIR
	LANDLOCK_ACCESS_FS_REMOVE_FILE  = unix.LANDLOCK_ACCESS_FS_REMOVE_FILE
	LANDLOCK_ACCESS_FS_MAKE_CHAR    = unix.LANDLOCK_ACCESS_FS_MAKE_CHAR
	LANDLOCK_ACCESS_FS_MAKE_DIR     = unix.LANDLOCK_ACCESS_FS_MAKE_DIR
	LANDLOCK_ACCESS_FS_MAKE_REG     = unix.LANDLOCK_ACCESS_FS_MAKE_REG
	LANDLOCK_ACCESS_FS_MAKE_SOCK    = unix.LANDLOCK_ACCESS_FS_MAKE_SOCK
	LANDLOCK_ACCESS_FS_MAKE_FIFO    = unix.LANDLOCK_ACCESS_FS_MAKE_FIFO
	LANDLOCK_ACCESS_FS_MAKE_BLOCK   = unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK
	LANDLOCK_ACCESS_FS_MAKE_SYM     = unix.LANDLOCK_ACCESS_FS_MAKE_SYM
	LANDLOCK_ACCESS_FS_REFER        = unix.LANDLOCK_ACCESS_FS_REFER
	LANDLOCK_ACCESS_FS_TRUNCATE     = unix.LANDLOCK_ACCESS_FS_TRUNCATE
	LANDLOCK_ACCESS_FS_IOCTL_DEV    = unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	LANDLOCK_ACCESS_FS_RESOLVE_UNIX = unix.LANDLOCK_ACCESS_FS_RESOLVE_UNIX

	LANDLOCK_SCOPE_SIGNAL = unix.LANDLOCK_SCOPE_SIGNAL
)

// LandlockABI is the version of Landlock that the kernel has; ENOSYS without it, EOPNOTSUPP where it was not enabled at
// boot.
func LandlockABI() (int, error) {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0, errno
	}
	return int(abi), nil
}

// LandlockRuleset is struct landlock_ruleset_attr in its form of ABI 6. Kernels with less take it as long as what they
// do not have is 0.
type LandlockRuleset struct{ AccessFS, AccessNet, Scoped uint64 }

// LandlockCreate makes a ruleset, man 2 landlock_create_ruleset.
func LandlockCreate(r LandlockRuleset) (fd int, err error) {
	n, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&r)), unsafe.Sizeof(r), 0)
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

// LandlockAllow gives rights to what lies at or beneath an open file, man 2 landlock_add_rule.
func LandlockAllow(ruleset, file int, access uint64) error {
	rule := unix.LandlockPathBeneathAttr{Allowed_access: access, Parent_fd: int32(file)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// OpenPath opens a path to name it only (man 2 openat2, Linux 5.6), as a process sees it whose root is the directory
// root; isDir tells what it is.
func OpenPath(root int, path string) (fd int, isDir bool, err error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT}
	if fd, err = unix.Openat2(root, path, &how); err != nil {
		return -1, false, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return -1, false, err
	}
	return fd, st.Mode&unix.S_IFMT == unix.S_IFDIR, nil
}
