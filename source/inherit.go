package source

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// firstInherited is the number of the first socket that was passed on, man 3 sd_listen_fds.
const firstInherited = 3

// inherited are the descriptors that who started us has passed on under a name: LISTEN_FDS of them, if LISTEN_PID is us,
// with names in LISTEN_FDNAMES. Without names their numbers are.
func inherited(name string, lookup func(string) string) (fds []int) {
	n, err := strconv.Atoi(lookup("LISTEN_FDS"))
	if err != nil || lookup("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil
	}
	var names []string
	if all := lookup("LISTEN_FDNAMES"); all != "" {
		names = strings.Split(all, ":")
	}
	for i := range n {
		own := strconv.Itoa(firstInherited + i)
		if names != nil && i < len(names) {
			own = names[i]
		}
		if own == name {
			fds = append(fds, firstInherited+i)
		}
	}
	return fds
}

// inherit makes copies of the sockets of a name, so that they can be asked for again after a stop: meanwhile clients wait
// in the kernel.
func inherit(a Address) (all []socket, err error) {
	fds := inherited(a.Path, os.Getenv)
	if fds == nil {
		return nil, errors.New("no socket of that name was passed on (LISTEN_FDS, LISTEN_FDNAMES)")
	}
	for _, fd := range fds {
		kind, err := sys.KindOf(fd)
		switch {
		case err != nil:
			return all, fmt.Errorf("descriptor %d: %w", fd, err)
		case kind.Listens == kind.Datagrams:
			return all, fmt.Errorf("descriptor %d neither listens nor has datagrams", fd)
		}
		own, err := sys.Dup(fd, 0)
		if err != nil {
			return all, err
		}
		all = append(all, socket{addr: a, fd: own, kind: scheme{ip: kind.IP, datagrams: kind.Datagrams, packets: kind.Packets}})
		if err := sys.DoNotBlock(own); err != nil {
			return all, err
		}
	}
	return all, nil
}
