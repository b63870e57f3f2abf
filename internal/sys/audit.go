package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// AUDIT_SECCOMP is the type of the record of a system call that a seccomp filter judged (linux/audit.h).
const AUDIT_SECCOMP = unix.AUDIT_SECCOMP

// MAX_AUDIT_MESSAGE_LENGTH is the longest text of a record (linux/audit.h).
const MAX_AUDIT_MESSAGE_LENGTH = 8970

// SizeofNlMsghdr is the size of struct nlmsghdr, which precedes each netlink message (linux/netlink.h): its length and
// type in the first six bytes.
const SizeofNlMsghdr = unix.SizeofNlMsghdr

// AuditListen opens a socket that gets a copy of each audit record and never blocks (man 7 netlink, NETLINK_AUDIT;
// AUDIT_NLGRP_READLOG, Linux 3.16). It needs CAP_AUDIT_READ in the first user namespace.
func AuditListen() (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_AUDIT)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	groups := uint32(1 << (unix.AUDIT_NLGRP_READLOG - 1))
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("bind", err)
	}
	return fd, nil
}

// SetReceiveBuffer sets how much a socket keeps that was not read, beyond what the system allows everybody (man 7 socket,
// SO_RCVBUFFORCE). It needs CAP_NET_ADMIN.
func SetReceiveBuffer(fd, bytes int) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes))
}
