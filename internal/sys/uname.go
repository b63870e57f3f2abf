package sys

import "golang.org/x/sys/unix"

// KernelRelease is what the kernel calls its version, as 6.18.44-1-amd64 (man 2 uname).
func KernelRelease() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", err
	}
	return unix.ByteSliceToString(u.Release[:]), nil
}
