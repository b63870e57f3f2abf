package source

import (
	"errors"
	"fmt"
	"os"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// socket is one that we listen on, or that datagrams come to.
type socket struct {
	addr Address
	fd   int
	kind scheme
}

// openAll makes the sockets of all addresses, or none. One address has several where they were passed on by one name.
func openAll(addresses []Address, d Door) (all []socket, err error) {
	for _, a := range addresses {
		var some []socket
		if a.inherited() {
			some, err = inherit(a)
		} else {
			some, err = bind(a, d)
		}
		all = append(all, some...)
		if err != nil {
			for _, s := range all {
				s.close()
			}
			return nil, fmt.Errorf("listen on %s: %w", a, err)
		}
	}
	return all, nil
}

func bind(a Address, d Door) ([]socket, error) {
	s := socket{addr: a, kind: a.scheme()}
	var err error
	switch {
	case !s.kind.ip:
		s.fd, err = bindUnix(a, s.kind.unix, d)
	case s.kind.datagrams:
		s.fd, err = sys.BindUDP(a.IP, d.ReusePort)
	default:
		s.fd, err = sys.BindTCP(a.IP, d.ReusePort)
	}
	if err != nil {
		return nil, err
	}
	if !s.kind.datagrams {
		backlog := d.Backlog
		if backlog == 0 {
			backlog = defaultBacklog
		}
		err = sys.Listen(s.fd, backlog)
	}
	return []socket{s}, err
}

// bindUnix makes way for itself where a socket lies that nobody has: what a killed process left. Nobody can connect
// before the file is whose it is to be.
func bindUnix(a Address, kind sys.UnixKind, d Door) (fd int, err error) {
	uid, gid, err := d.ids()
	if err != nil {
		return -1, err
	}
	mode := d.Mode
	if mode == 0 {
		mode = 0o777 // less the umask
	}
	fd, err = sys.BindUnix(a.Path, kind, mode)
	if errors.Is(err, sys.EADDRINUSE) && isLeft(a, kind) {
		if err = os.Remove(a.Path); err == nil {
			fd, err = sys.BindUnix(a.Path, kind, mode)
		}
	}
	if err != nil {
		return -1, err
	}
	if uid >= 0 || gid >= 0 {
		err = os.Lchown(a.Path, uid, gid)
	}
	if err == nil && d.Mode != 0 { // whatever the umask took
		err = os.Chmod(a.Path, os.FileMode(d.Mode))
	}
	if err != nil {
		socket{addr: a, fd: fd}.close()
		return -1, err
	}
	return fd, nil
}

// isLeft reports whether a socket lies at the address that nobody has.
func isLeft(a Address, kind sys.UnixKind) bool {
	if a.file() == "" {
		return false
	}
	info, err := os.Lstat(a.Path)
	return err == nil && info.Mode().Type() == os.ModeSocket && !sys.Listens(a.Path, kind)
}

// close ends the socket, or our use of one that was passed on.
func (s socket) close() {
	if file := s.addr.file(); file != "" {
		os.Remove(file) //nolint:errcheck // somebody else removed it
	}
	sys.Close(s.fd)
}
