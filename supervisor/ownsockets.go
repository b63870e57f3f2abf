package supervisor

import (
	"fmt"
	"syscall"
	"time"

	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/internal/spawn"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/source"
)

// wantSocket has an event be of a socket of the program's own.
func (s *Supervisor) wantSocket(at *attached, w wanted, spec *Registration, fd int, on []string) (wanted, error) {
	own, err := source.NewOwnSocket(fd, on)
	if err != nil {
		return w, control.Errorf(syscall.EINVAL, "register: %s: %v", spec.Name, err)
	}
	at.sockets++
	spec.Source = source.Ready{Own: own}
	w.spec, w.key, w.socket = spec, fmt.Sprintf("%d %s", at.sockets, spec.Name), own.FD
	return w, nil
}

// dropSockets closes those that no registration has.
func dropSockets(wants []wanted) {
	for _, w := range wants {
		if w.socket != 0 {
			sys.Close(w.socket)
		}
	}
}

// letGo closes a socket that a program passed, on the app's lane: its last close may wait for as long as the program has said
// (man 7 socket, SO_LINGER), and then only its own app does.
func (a *app) letGo(s *Supervisor, fd int) {
	a.spent = append(a.spent, fd)
	a.closeSpent(s)
}

// spentWait is when sockets are closed for which the lane had no room.
const spentWait = time.Second

func (a *app) closeSpent(s *Supervisor) {
	if a.closing || len(a.spent) == 0 {
		return
	}
	spent := a.spent
	done := func() {
		a.closing = false
		a.closeSpent(s)
	}
	if a.closing = a.work.Lane.Submit(func(*spawn.Maker) { closeAll(spent); s.Post(done) }); a.closing {
		a.spent = nil
		return
	}
	s.alarms.After(&a.closeLater, spentWait, func() { a.closeSpent(s) })
}

func closeAll(fds []int) {
	for _, fd := range fds {
		sys.Close(fd)
	}
}
