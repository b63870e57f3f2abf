package sys

import (
	"errors"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Errors that callers branch on.
const (
	EAGAIN       = unix.EAGAIN
	ENOBUFS      = unix.ENOBUFS
	ECONNREFUSED = unix.ECONNREFUSED
	EADDRINUSE   = unix.EADDRINUSE
)

// BindTCP makes a bound TCP socket, of which several may share an address with reusePort. An IPv6 wildcard takes IPv4 too.
func BindTCP(addr netip.AddrPort, reusePort bool) (fd int, err error) {
	return bindIP(addr, unix.SOCK_STREAM, reusePort)
}

// BindUDP is BindTCP for datagrams.
func BindUDP(addr netip.AddrPort, reusePort bool) (fd int, err error) {
	return bindIP(addr, unix.SOCK_DGRAM, reusePort)
}

func bindIP(addr netip.AddrPort, kind int, reusePort bool) (fd int, err error) {
	family, sa := unix.AF_INET, unix.Sockaddr(nil)
	if addr.Addr().Is4() {
		sa = &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	} else {
		zone, err := zoneID(addr.Addr().Zone())
		if err != nil {
			return -1, err
		}
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Port: int(addr.Port()), ZoneId: zone, Addr: addr.Addr().As16()}
	}
	if fd, err = newSocket(family, kind); err != nil {
		return -1, err
	}
	for _, o := range []struct {
		wanted      bool
		level, name int
		value       int
	}{
		{kind == unix.SOCK_STREAM, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1}, // two UDP sockets would take each other's datagrams
		{reusePort, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1},
		{family == unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0},
	} {
		if !o.wanted {
			continue
		}
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			unix.Close(fd)
			return -1, os.NewSyscallError("setsockopt", err)
		}
	}
	if err := unix.Bind(fd, sa); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("bind", err)
	}
	return fd, nil
}

// UnixKind is the kind of a unix socket, man 7 unix.
type UnixKind int

// The kinds.
const (
	UnixStream   UnixKind = unix.SOCK_STREAM
	UnixPacket   UnixKind = unix.SOCK_SEQPACKET // connections that keep the bounds of messages
	UnixDatagram UnixKind = unix.SOCK_DGRAM
)

// BindUnix makes a bound unix socket; a leading @ is the abstract namespace. Its file is never open to more than mode
// says: bind makes it with the mode of the socket, less the umask (net/unix/af_unix.c, unix_bind_bsd).
func BindUnix(path string, kind UnixKind, mode uint32) (fd int, err error) {
	if fd, err = newSocket(unix.AF_UNIX, int(kind)); err != nil {
		return -1, err
	}
	if err = os.NewSyscallError("fchmod", unix.Fchmod(fd, mode)); err == nil {
		err = os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func newSocket(family, kind int) (fd int, err error) {
	fd, err = unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	return fd, os.NewSyscallError("socket", err)
}

// Listen has a bound socket take connections, so many of which may wait.
func Listen(fd, backlog int) error { return os.NewSyscallError("listen", unix.Listen(fd, backlog)) }

// SocketKind is what a socket is that somebody else made.
type SocketKind struct {
	IP        bool // TCP or UDP, else unix
	Listens   bool
	Datagrams bool // without connections
	Packets   bool // keeps the bounds of messages
}

// KindOf tells what a socket is, man 7 socket.
func KindOf(fd int) (k SocketKind, err error) {
	var values [3]int
	for i, name := range [...]int{unix.SO_DOMAIN, unix.SO_TYPE, unix.SO_ACCEPTCONN} {
		if values[i], err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, name); err != nil {
			return k, os.NewSyscallError("getsockopt", err)
		}
	}
	k.IP = values[0] == unix.AF_INET || values[0] == unix.AF_INET6
	if !k.IP && values[0] != unix.AF_UNIX {
		return k, unix.EAFNOSUPPORT
	}
	k.Datagrams = values[1] == unix.SOCK_DGRAM
	k.Packets = values[1] != unix.SOCK_STREAM
	k.Listens = values[2] != 0
	return k, nil
}

// Block has calls on a descriptor wait, for all who share it; DoNotBlock has them fail instead.
func Block(fd int) error { return unix.SetNonblock(fd, false) }

// DoNotBlock has calls on a descriptor fail instead of wait, for all who share it (man 2 fcntl, O_NONBLOCK).
func DoNotBlock(fd int) error { return unix.SetNonblock(fd, true) }

func zoneID(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	ifr, err := unix.NewIfreq(zone)
	if err != nil {
		return 0, err
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr); err != nil {
		return 0, os.NewSyscallError("find interface "+zone, err)
	}
	return ifr.Uint32(), nil
}

// Peer is the other end of a connection, or our own end of it.
type Peer struct {
	IP   netip.AddrPort // of TCP; IPv4 mapped into IPv6 comes out as IPv4
	Path string         // of a unix socket, "" without a name
	Unix bool
}

// Accept takes one waiting connection. The connection itself blocks, as programs expect of a socket they are given.
// EAGAIN means that none waits.
func Accept(fd int) (conn int, peer Peer, err error) {
	var name sockaddr
	for {
		conn, err = name.name(unix.SYS_ACCEPT4, fd, unix.SOCK_CLOEXEC)
		if err == nil {
			return conn, name.peer(), nil
		}
		// man 2 accept: errors of the connection itself, which is gone; the next one may be well.
		if !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.ECONNABORTED) {
			return -1, Peer{}, err
		}
	}
}

// LocalName is our end of a connection or the address of a listening socket.
func LocalName(fd int) (Peer, error) {
	var name sockaddr
	if _, err := name.name(unix.SYS_GETSOCKNAME, fd, 0); err != nil {
		return Peer{}, os.NewSyscallError("getsockname", err)
	}
	return name.peer(), nil
}

// PeerOwner is who the process at the other end of a unix connection ran as when it connected, man 7 unix, SO_PEERCRED.
func PeerOwner(conn int) (uid, gid int, err error) {
	cred, err := unix.GetsockoptUcred(conn, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, 0, os.NewSyscallError("getsockopt", err)
	}
	return int(cred.Uid), int(cred.Gid), nil
}

// Listens reports whether somebody has the unix socket of this kind at path. A connection that cannot be made for
// another reason than a refusal counts as such.
func Listens(path string, kind UnixKind) bool {
	fd, err := unix.Socket(unix.AF_UNIX, int(kind)|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return true
	}
	defer unix.Close(fd)
	return !errors.Is(unix.Connect(fd, &unix.SockaddrUnix{Name: path}), ECONNREFUSED)
}

// MaxDescriptors is how many descriptors this process may have open, the soft RLIMIT_NOFILE.
func MaxDescriptors() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > 1<<30 {
		return 1 << 30
	}
	return int(limit.Cur)
}

// SocketCookie is the kernel's number of a socket, which no other one ever has (man 7 socket, SO_COOKIE).
func SocketCookie(fd int) (uint64, error) {
	n, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	return n, os.NewSyscallError("getsockopt", err)
}
