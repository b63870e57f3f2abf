package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Errors of connections that callers branch on.
const (
	EPIPE      = unix.EPIPE
	ECONNRESET = unix.ECONNRESET
)

// Receive takes bytes that have come on a stream, man 2 recv, and never waits: EAGAIN says that none have. 0 is the end.
//
// Like Send it cannot sleep, so Go's scheduler is not told of it, which would cost as much again as a small read does.
func Receive(fd int, b []byte) (int, error) { return receive(fd, b, unix.MSG_DONTWAIT) }

// ReceivePacket takes one message of a connection that keeps their bounds, as Receive does. Of one that does not fit b
// the whole length is returned, and the rest is lost: on a stream this flag would throw everything away, man 7 tcp.
func ReceivePacket(fd int, b []byte) (int, error) {
	return receive(fd, b, unix.MSG_DONTWAIT|unix.MSG_TRUNC)
}

func receive(fd int, b []byte, flags uintptr) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), flags, 0, 0)
		if errno == 0 {
			return int(n), nil
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// Send gives a socket as much of b as it takes now, man 2 send, without SIGPIPE. EAGAIN says that it takes nothing.
func Send(fd int, b []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
			unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		if errno == 0 {
			return int(n), nil
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// SendBoth is Send for two pieces that follow each other, man 2 sendmsg.
func SendBoth(fd int, head, body []byte) (int, error) {
	iov := [2]unix.Iovec{{Base: unsafe.SliceData(head)}, {Base: unsafe.SliceData(body)}}
	iov[0].SetLen(len(head))
	iov[1].SetLen(len(body))
	message := unix.Msghdr{Iov: &iov[0], Iovlen: 2}
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&message)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if errno == 0 {
			return int(n), nil
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// ShutdownWrite ends what is sent on a socket: its peer sees the end after it (man 2 shutdown, SHUT_WR).
func ShutdownWrite(fd int) error { return unix.Shutdown(fd, unix.SHUT_WR) }

// SendAtOnce has small pieces sent without waiting for what was sent before to be acknowledged (man 7 tcp, TCP_NODELAY).
func SendAtOnce(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) }
