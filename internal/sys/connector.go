package sys

import (
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"
)

// Events of processes (linux/cn_proc.h, enum proc_cn_event).
const (
	PROC_EVENT_NONE = 0 // answers PROC_CN_MCAST_LISTEN, with an errno
	PROC_EVENT_FORK = 0x1
	PROC_EVENT_EXEC = 0x2
	PROC_EVENT_EXIT = 0x80000000
)

// Sizes of what precedes an event of a process: struct cn_msg (linux/connector.h) and the head of struct proc_event
// (linux/cn_proc.h: what, cpu, timestamp), which begins with the kind of the event.
const (
	SizeofCnMsg     = 20
	SizeofProcEvent = 16
)

const (
	cnIdxProc         = 1 // CN_IDX_PROC and CN_VAL_PROC, linux/connector.h
	procCnMcastListen = 1 // linux/cn_proc.h
)

// ProcConnector opens a socket that is told of each process that begins, executes a program and ends, and asks the
// kernel to begin: it answers with PROC_EVENT_NONE. It never blocks. CAP_NET_ADMIN in the first user namespace, and
// being in the first pid namespace, are needed (drivers/connector/cn_proc.c). What does not fit the socket's buffer of
// so many bytes is lost, and the next read fails with ENOBUFS.
func ProcConnector(bufferBytes int) (int, error) {
	fd, err := netlink(unix.NETLINK_CONNECTOR, cnIdxProc, bufferBytes)
	if err != nil {
		return -1, err
	}
	if err := unix.Sendto(fd, listenMessage(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("send", err)
	}
	return fd, nil
}

// listenMessage is PROC_CN_MCAST_LISTEN.
func listenMessage() []byte {
	ne := binary.NativeEndian
	const size = unix.SizeofNlMsghdr + SizeofCnMsg + 4
	b := ne.AppendUint32(nil, size)
	b = ne.AppendUint16(b, unix.NLMSG_DONE)
	b = ne.AppendUint16(b, 0) // flags
	b = ne.AppendUint32(b, 0) // sequence
	b = ne.AppendUint32(b, 0) // port: the kernel knows
	b = ne.AppendUint32(b, cnIdxProc)
	b = ne.AppendUint32(b, 1) // CN_VAL_PROC
	b = ne.AppendUint32(b, 0) // sequence
	b = ne.AppendUint32(b, 0) // acknowledgement
	b = ne.AppendUint16(b, 4) // length of what follows
	b = ne.AppendUint16(b, 0) // flags
	return ne.AppendUint32(b, procCnMcastListen)
}

// FromKernel receives a message of a netlink socket, one of the kernel's: those of other processes are passed over, as
// anybody may send some (man 7 netlink).
func FromKernel(fd int, b []byte) (n int, err error) {
	for {
		n, from, err := unix.Recvfrom(fd, b, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, err
		}
		if nl, ok := from.(*unix.SockaddrNetlink); ok && nl.Pid == 0 {
			return n, nil
		}
	}
}

// Uevents opens a socket that is told what happens to devices: the kernel's own messages, not those of udev, which come in
// another group (lib/kobject_uevent.c). It never blocks; FromKernel reads it. What does not fit the socket's buffer of so
// many bytes is lost, and the next read fails with ENOBUFS.
func Uevents(bufferBytes int) (int, error) {
	const kernelGroup = 1
	return netlink(unix.NETLINK_KOBJECT_UEVENT, kernelGroup, bufferBytes)
}

// netlink opens a socket that hears what is sent to a group, with a buffer as large as the host allows.
func netlink(protocol int, group uint32, bufferBytes int) (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bufferBytes) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bufferBytes) //nolint:errcheck // then it is what it is
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: group}); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("bind", err)
	}
	return fd, nil
}
