package sys

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sockaddr is where the kernel writes the name of a socket's end: struct sockaddr_storage of <sys/socket.h>.
type sockaddr struct {
	raw  unix.RawSockaddrAny
	size uint32
}

// name has a system call that takes a descriptor, a struct sockaddr and its length fill one in. golang.org/x/sys would
// ask for the socket's protocol besides, each time.
func (a *sockaddr) name(call uintptr, fd int, flags int) (int, error) {
	a.size = unix.SizeofSockaddrAny
	n, _, errno := unix.Syscall6(call, uintptr(fd), uintptr(unsafe.Pointer(&a.raw)), uintptr(unsafe.Pointer(&a.size)),
		uintptr(flags), 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

// peer reads the name.
func (a *sockaddr) peer() Peer {
	switch a.raw.Addr.Family {
	case unix.AF_INET:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(&a.raw))
		return Peer{IP: netip.AddrPortFrom(netip.AddrFrom4(in.Addr), port(&in.Port))}
	case unix.AF_INET6:
		in := (*unix.RawSockaddrInet6)(unsafe.Pointer(&a.raw))
		ip := netip.AddrFrom16(in.Addr).Unmap()
		if in.Scope_id != 0 {
			ip = ip.WithZone(strconv.FormatUint(uint64(in.Scope_id), 10))
		}
		return Peer{IP: netip.AddrPortFrom(ip, port(&in.Port))}
	case unix.AF_UNIX:
		return Peer{Path: a.path(), Unix: true}
	}
	return Peer{}
}

// path is the path of a unix socket, "" of one without a name. An abstract one is as long as the kernel says and
// begins with a NUL, here a @; one of a file ends at the first NUL, if there is one (man 7 unix).
func (a *sockaddr) path() string {
	un := (*unix.RawSockaddrUnix)(unsafe.Pointer(&a.raw))
	n := int(a.size) - int(unsafe.Offsetof(un.Path))
	if n <= 0 {
		return ""
	}
	b := unsafe.Slice((*byte)(unsafe.Pointer(&un.Path)), min(n, len(un.Path)))
	if b[0] == 0 {
		return "@" + string(b[1:])
	}
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b)
}

// port reads a port, which is in the network's order of bytes.
func port(p *uint16) uint16 { return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:]) }
