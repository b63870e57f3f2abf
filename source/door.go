package source

import (
	"errors"
	"fmt"
	"net/netip"
	"os/user"
	"strconv"
	"time"
)

// Door is how sockets that listen are made, and who gets in: the keys that all types with `listen` have.
type Door struct {
	Backlog   int    // connections that wait in the kernel; 0: as many as it takes
	ReusePort bool   // others may listen on the same address and port, and share the connections
	Mode      uint32 // of a unix socket's file; 0: what the umask leaves
	Owner     string // of that file, by name or number; "": who we run as
	Group     string
	PerPeer   int            // connections open at once from one address; 0: any number
	Allow     []netip.Prefix // who may connect or send; nil: everybody
	Rate      Rate
}

// Rate is so many in a time; the zero Rate is no bound.
type Rate struct {
	Count int
	Per   time.Duration
}

// defaultBacklog is what the kernel makes net.core.somaxconn of, where that is less.
const defaultBacklog = 4096

func (d Door) check(listen []Address) error {
	file, ip := false, false
	for _, a := range listen {
		file = file || a.file() != ""
		ip = ip || a.scheme().ip || a.inherited()
	}
	switch {
	case len(listen) == 0:
		return errors.New("listen is missing")
	case !file && (d.Mode != 0 || d.Owner != "" || d.Group != ""):
		return errors.New("mode, owner and group are for unix sockets with a path")
	case !ip && d.Allow != nil:
		return errors.New("allow is for tcp and udp: use mode, owner and group")
	case !ip && d.ReusePort:
		return errors.New("reuseport is for tcp and udp")
	case d.Backlog < 0, d.PerPeer < 0, d.Rate.Count < 0, d.Rate.Count > 0 && d.Rate.Per <= 0:
		return errors.New("backlog, per_peer and rate are not negative")
	}
	return nil
}

// allows reports whether an address may come in.
func (d Door) allows(ip netip.Addr) bool {
	for _, p := range d.Allow {
		if p.Contains(ip.WithZone("")) {
			return true
		}
	}
	return d.Allow == nil
}

// ids are owner and group as the kernel wants them, -1 for one that stays.
func (d Door) ids() (uid, gid int, err error) {
	uid, gid = -1, -1
	if d.Owner != "" {
		uid, err = strconv.Atoi(d.Owner)
		if u, uerr := user.Lookup(d.Owner); err != nil && uerr == nil {
			uid, err = strconv.Atoi(u.Uid)
		}
		if err != nil || uid < 0 {
			return -1, -1, fmt.Errorf("owner %q: no such user", d.Owner)
		}
	}
	if d.Group != "" {
		gid, err = strconv.Atoi(d.Group)
		if g, gerr := user.LookupGroup(d.Group); err != nil && gerr == nil {
			gid, err = strconv.Atoi(g.Gid)
		}
		if err != nil || gid < 0 {
			return -1, -1, fmt.Errorf("group %q: no such group", d.Group)
		}
	}
	return uid, gid, nil
}
