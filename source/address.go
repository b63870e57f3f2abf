package source

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// Address is where a socket listens, or where datagrams come.
type Address struct {
	Scheme string         // of schemes
	IP     netip.AddrPort // of tcp and udp
	Path   string         // of the unix ones; a leading @ means the abstract namespace. Of fd: the name
}

// scheme is a kind of address.
type scheme struct {
	ip        bool // IP:PORT, else a path or @name
	datagrams bool // without connections
	packets   bool // keeps the bounds of messages
	unix      sys.UnixKind
}

var schemes = map[string]scheme{
	"tcp":        {ip: true},
	"udp":        {ip: true, datagrams: true, packets: true},
	"unix":       {unix: sys.UnixStream},
	"unixpacket": {unix: sys.UnixPacket, packets: true},
	"unixgram":   {unix: sys.UnixDatagram, datagrams: true, packets: true},
	"fd":         {}, // whatever it turns out to be
}

// scheme is what the address's kind means.
func (a Address) scheme() scheme { return schemes[a.Scheme] }

// Packets reports whether what is sent there keeps its bounds, as far as the address tells.
func (a Address) Packets() bool { return a.scheme().packets }

// inherited reports that the socket comes from who started us.
func (a Address) inherited() bool { return a.Scheme == "fd" }

// String is the form that ParseAddress reads.
func (a Address) String() string {
	switch {
	case a.scheme().ip:
		return a.Scheme + "://" + a.IP.String()
	case strings.HasPrefix(a.Path, "@") && !a.inherited():
		return a.Scheme + ":" + a.Path
	}
	return a.Scheme + "://" + a.Path
}

// file is the path of the address in the file system, "" without one.
func (a Address) file() string {
	if strings.HasPrefix(a.Path, "/") && !a.inherited() {
		return a.Path
	}
	return ""
}

// maxUnixPathBytes is the longest path that fits struct sockaddr_un with its final NUL, man 7 unix.
const maxUnixPathBytes = 107

// ParseAddress reads tcp://127.0.0.1:7007, udp://[::]:53, unix:///run/x.sock or unix:@name, and fd://name, which is a
// socket that who started us has passed on; unixgram and unixpacket are written as unix is.
func ParseAddress(s string) (Address, error) {
	name, rest, _ := strings.Cut(s, ":")
	kind, known := schemes[name]
	path, slashes := strings.CutPrefix(rest, "//")
	switch {
	case known && kind.ip:
		ip, err := netip.ParseAddrPort(path)
		if err != nil || !slashes {
			return Address{}, fmt.Errorf("listen %q: want %s://IP:PORT, like %[2]s://127.0.0.1:7007 or %[2]s://[::]:80", s, name)
		}
		return Address{Scheme: name, IP: ip}, nil
	case name == "fd" && slashes:
		if !isSocketName(path) {
			return Address{}, fmt.Errorf("listen %q: want fd://NAME, as LISTEN_FDNAMES has it", s)
		}
		return Address{Scheme: name, Path: path}, nil
	case !known, name == "fd", !slashes && !strings.HasPrefix(path, "@"):
		return Address{}, fmt.Errorf("listen %q: want tcp://IP:PORT, unix:///PATH or unix:@NAME, or the same with udp, unixpacket, unixgram", s)
	case len(path) < 2 || path[0] != '/' && path[0] != '@':
		return Address{}, fmt.Errorf("listen %q: want %s: and an absolute path or @name", s, name)
	case strings.IndexByte(path, 0) >= 0: // the kernel would take what is before it, man 7 unix
		return Address{}, fmt.Errorf("listen %q: the path contains NUL", s)
	case len(path) > maxUnixPathBytes:
		return Address{}, fmt.Errorf("listen %q: the path is longer than %d bytes", s, maxUnixPathBytes)
	}
	return Address{Scheme: name, Path: path}, nil
}

// isSocketName reports whether LISTEN_FDNAMES can have a name, man 3 sd_listen_fds_with_names.
func isSocketName(s string) bool {
	return s != "" && len(s) <= 255 && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' }) < 0
}
