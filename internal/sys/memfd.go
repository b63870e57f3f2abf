package sys

import "golang.org/x/sys/unix"

// File seals (man 2 fcntl, "File Sealing").
const (
	F_SEAL_SEAL   = unix.F_SEAL_SEAL
	F_SEAL_SHRINK = unix.F_SEAL_SHRINK
	F_SEAL_GROW   = unix.F_SEAL_GROW
	F_SEAL_WRITE  = unix.F_SEAL_WRITE
)

// MemfdCreate makes an anonymous file in memory that can be sealed and never executed (man 2 memfd_create).
// MFD_NOEXEC_SEAL came with Linux 6.3; from then on a host may demand it (sysctl vm.memfd_noexec = 2).
func MemfdCreate(name string) (int, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL {
		fd, err = unix.MemfdCreate(name, flags)
	}
	return fd, err
}

// AddSeals seals a file made by MemfdCreate (man 2 fcntl, F_ADD_SEALS).
func AddSeals(fd, seals int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
	return err
}

// Ftruncate sets the size of a file (man 2 ftruncate).
func Ftruncate(fd int, size int64) error { return unix.Ftruncate(fd, size) }
