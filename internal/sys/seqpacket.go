package sys

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SeqpacketPair makes two connected sockets that keep message boundaries (man 7 unix, SOCK_SEQPACKET).
func SeqpacketPair() ([2]int, error) {
	return unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
}

// SendMessage sends one message without SIGPIPE, and without waiting if wait is false (EAGAIN).
func SendMessage(fd int, message []byte, wait bool) error {
	return unix.Send(fd, message, sendFlags(wait))
}

// MessageBatch is how many messages one SendMessages sends.
const MessageBatch = 64

// SendMessages sends messages, as many of the first MessageBatch as there is room for at once (man 2 sendmmsg); the error is
// that of the first one. It never waits.
func SendMessages(fd int, messages [][]byte) (sent int, err error) {
	var heads [MessageBatch]mmsghdr
	var iovecs [MessageBatch]unix.Iovec
	n := min(len(messages), MessageBatch)
	for i, m := range messages[:n] {
		iovecs[i].Base = unsafe.SliceData(m)
		iovecs[i].SetLen(len(m))
		heads[i].head.Iov, heads[i].head.Iovlen = &iovecs[i], 1
	}
	for {
		got, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&heads)), uintptr(n), uintptr(sendFlags(false)), 0, 0)
		if errno == 0 {
			return int(got), nil
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// SendDescriptor sends one message together with a copy of the descriptor passed (man 3 cmsg, SCM_RIGHTS).
func SendDescriptor(fd int, message []byte, passed int, wait bool) error {
	return SendDescriptors(fd, message, []int{passed}, wait)
}

// SendDescriptors is SendDescriptor with several descriptors, which arrive in their order.
func SendDescriptors(fd int, message []byte, passed []int, wait bool) error {
	_, err := unix.SendmsgN(fd, message, unix.UnixRights(passed...), nil, sendFlags(wait))
	return err
}

func sendFlags(wait bool) int {
	if wait {
		return unix.MSG_NOSIGNAL
	}
	return unix.MSG_NOSIGNAL | unix.MSG_DONTWAIT
}

// ReceiveMessage receives one message without a control buffer, so that the kernel drops descriptors that came with it
// (net/core/scm.c, scm_detach_fds). It never waits. What does not fit the buffer is lost. 0 is the end, or an empty
// message.
func ReceiveMessage(fd int, buf []byte) (int, error) {
	for {
		n, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
		if err != unix.EINTR {
			return n, err
		}
	}
}

// PassCredentials has the kernel say with each message that fd receives who sent it (man 7 unix, SO_PASSCRED).
func PassCredentials(fd int) error {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
}

// credentialsSpace holds struct ucred, which the kernel puts first, and not a descriptor beside it (net/core/scm.c,
// scm_recv): those are dropped as by ReceiveMessage.
const credentialsSpace = 32

// ReceiveFrom is ReceiveMessage on a socket of PassCredentials: pid is the process that sent the message, 0 for one that
// is not in sight of ours.
func ReceiveFrom(fd int, buf []byte) (n, pid int, err error) {
	var oob [credentialsSpace]byte
	oobn := 0
	for {
		n, oobn, _, _, err = unix.Recvmsg(fd, buf, oob[:], unix.MSG_DONTWAIT)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil || oobn < unix.CmsgLen(unix.SizeofUcred) {
		return n, 0, err
	}
	ne := binary.NativeEndian // struct cmsghdr: size, level, type; struct ucred: pid, uid, gid
	if ne.Uint32(oob[8:]) != unix.SOL_SOCKET || ne.Uint32(oob[12:]) != unix.SCM_CREDENTIALS {
		return n, 0, nil
	}
	return n, int(int32(ne.Uint32(oob[unix.CmsgLen(0):]))), nil
}

// ReceiveDescriptor receives one message and at most one descriptor, which is -1 if none came. The descriptor is made
// close-on-exec.
func ReceiveDescriptor(fd int, buf []byte) (n, passed int, err error) {
	oob, oobn := make([]byte, unix.CmsgSpace(4)), 0
	for {
		n, oobn, _, _, err = unix.Recvmsg(fd, buf, oob, unix.MSG_CMSG_CLOEXEC)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil || oobn < unix.CmsgLen(4) {
		return n, -1, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 || messages[0].Header.Type != syscall.SCM_RIGHTS {
		return n, -1, err
	}
	return n, int(int32(binary.NativeEndian.Uint32(messages[0].Data))), nil
}

// ReceiveDescriptors receives one message, and at most so many descriptors, close-on-exec; further ones the kernel drops. It
// never waits.
func ReceiveDescriptors(fd int, buf []byte, most int) (n int, passed []int, err error) {
	var oob []byte
	if most > 0 {
		oob = make([]byte, unix.CmsgSpace(most*4))
	}
	oobn := 0
	for {
		n, oobn, _, _, err = unix.Recvmsg(fd, buf, oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil || oobn == 0 {
		return n, nil, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	for i := range messages {
		if fds, err := unix.ParseUnixRights(&messages[i]); err == nil {
			passed = append(passed, fds...)
		}
	}
	return n, passed, err
}

// ShutdownRead ends the reading side of a socket: whoever waits there sees the end (man 2 shutdown, SHUT_RD).
func ShutdownRead(fd int) error { return unix.Shutdown(fd, unix.SHUT_RD) }
