package sys

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// EPOLLET makes a poller report each add to an eventfd, and nothing else of it: then nobody needs to read it.
const EPOLLET = unix.EPOLLET

// Eventfd makes a counter that polls readable while it is not zero (man 2 eventfd). Reads and writes never block, as
// long as nobody else holds the descriptor: O_NONBLOCK belongs to all who share it.
func Eventfd() (int, error) {
	return unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
}

// EventfdBlocking is Eventfd for one who sleeps in EventfdWait.
func EventfdBlocking() (int, error) { return unix.Eventfd(0, unix.EFD_CLOEXEC) }

// EventfdWait waits until a blocking eventfd is not zero, and clears it. A signal may end it early.
func EventfdWait(fd int) {
	var count [8]byte
	unix.Read(fd, count[:]) //nolint:errcheck // only EINTR can come of it
}

// EventfdAdd adds one to the counter.
func EventfdAdd(fd int) error {
	_, err := unix.Write(fd, one[:])
	return err
}

// one is the number, in the order of bytes of this machine; not a local, which would escape.
var one = binary.NativeEndian.AppendUint64(nil, 1)

// EventfdClear makes an eventfd unreadable until the next EventfdAdd. It was clear already when the read fails.
func EventfdClear(fd int) {
	var count [8]byte
	unix.Read(fd, count[:]) //nolint:errcheck // as said
}
