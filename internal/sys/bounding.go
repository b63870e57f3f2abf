package sys

import "golang.org/x/sys/unix"

// DropBounding takes a capability out of the bounding set of the calling thread, man 2 PR_CAPBSET_DROP.
func DropBounding(capability int) error {
	return unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(capability), 0, 0, 0)
}
