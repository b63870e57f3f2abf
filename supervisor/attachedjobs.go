package supervisor

import (
	"context"
	"fmt"
	"strings"
	"syscall"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/source"
)

// wanted is jobs of one registration that a program asks for.
type wanted struct {
	key     string // what makes it the same as another: its name and what the program said of it
	spec    *Registration
	inherit bool
	count   int
	from    aem.JobID // that it is inherited from; 0: it is not
	socket  int       // a program's, which is a registration's from when that is made; 0: none
}

// dropSockets closes those that no registration has.
func dropSockets(wants []wanted) {
	for _, w := range wants {
		if w.socket != 0 {
			sys.Close(w.socket)
		}
	}
}

// answerRegister makes jobs that the connection's program handles: all that a message asks for, or none.
func (s *Supervisor) answerRegister(_ context.Context, peer control.Peer, req control.Request) control.Reply {
	at, err := attachedBy(req.Op, peer)
	if err != nil {
		return refusal(req.Op, err)
	}
	wants := make([]wanted, len(req.Events))
	for i := range req.Events {
		if wants[i], err = s.want(at, peer, &req.Events[i], req.FDs); err != nil {
			dropSockets(wants[:i])
			return refusal(req.Op, err)
		}
	}
	m := &making{s: s, at: at, wants: wants, err: errStopping}
	return s.inTurns(m.small(), m.step, func() control.Reply {
		if m.err != nil {
			dropSockets(wants)
			return refusal(req.Op, m.err)
		}
		registered, ids := control.Registered{IDs: make([][]aem.JobID, len(wants))}, m.ids
		for i := range wants {
			n := wants[i].count
			registered.IDs[i], ids = ids[:n:n], ids[n:]
		}
		return control.Done(registered)
	})
}

// keptJudged bounds the tables of a program whose meaning is kept: many jobs are of few tables.
const keptJudged = 256

// want reads what a program says of an event, and judges it by what its app and its user may.
func (s *Supervisor) want(at *attached, peer control.Peer, r *control.Registration, fds []int) (wanted, error) {
	w := wanted{key: r.Name + " " + string(r.Event), inherit: r.Inherit, count: r.Jobs()}
	if r.Inherit {
		w.key = "+" + w.key
	}
	if w.spec = at.judged[w.key]; w.spec != nil && r.Socket == nil {
		return w, nil
	}
	spec, err := s.options.Tables.Event(at.spec.Name, r.Name, r.Event, r.Socket != nil)
	if err == nil {
		err = source.Check(spec.Source)
	}
	if err != nil {
		return w, control.Errorf(syscall.EINVAL, "register: %v", err)
	}
	if why := forbidden(at.spec, peer, &spec); why != "" {
		return w, control.Errorf(syscall.EPERM, "register: %s: %s", r.Name, why)
	}
	if r.Socket != nil {
		return s.wantSocket(at, w, &spec, fds[*r.Socket], r.Conditions)
	}
	if len(at.judged) == keptJudged {
		clear(at.judged)
	}
	w.spec, at.judged[w.key] = &spec, &spec
	return w, nil
}

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

// forbidden is why a peer may not register an event for an app, "" if it may.
func forbidden(app *App, peer control.Peer, spec *Registration) string {
	typ, more := spec.Source.Type(), beyond(app.Name, spec.Source)
	switch {
	case !app.Limits.AllowsType(typ):
		return fmt.Sprintf("the app may not register %s (limits.types)", typ)
	case int(spec.Priority) > app.Limits.PriorityMax:
		return fmt.Sprintf("priority %d is above the app's %d (limits.priority_max)", spec.Priority, app.Limits.PriorityMax)
	case !trusted(peer) && more != "":
		return more + " is for root, the supervisor's own user and the file"
	}
	return ""
}

// beyond is what of an event a user could not detect by himself, "" for nothing: the supervisor, which may be root, does
// not do for a program what the program may not.
func beyond(app string, spec source.Spec) string {
	own := func(name string) bool { return strings.HasPrefix(name, app+"/") }
	switch spec := spec.(type) {
	case source.Timer:
		return ""
	case source.Topic:
		if own(spec.Name) {
			return ""
		}
		return "another app's topic"
	case source.Close:
		return ""
	case source.ProcessExit:
		if spec.PID != 0 {
			return ""
		}
		return "process.exit by anything but a pid"
	case source.Accept:
		return beyondListening(spec.Listen)
	case source.Read:
		return beyondListening(spec.Listen)
	case source.Ready: // on a socket of its own, or
		return beyondListening(spec.Listen)
	case source.Notice:
		if len(spec.Apps) == 1 && spec.Apps[0] == app {
			return ""
		}
		return "what happens to other apps"
	}
	return "type " + spec.Type()
}

// firstOpenPort is the first that everybody may listen at (man 7 ip, ip_unprivileged_port_start as it is by default).
const firstOpenPort = 1024

func beyondListening(addresses []source.Address) string {
	for _, a := range addresses {
		switch {
		case a.IP.IsValid() && (a.IP.Port() == 0 || a.IP.Port() >= firstOpenPort):
		case !a.IP.IsValid() && strings.HasPrefix(a.Path, "@") && a.Scheme != "fd":
		default:
			return "listening at " + a.String()
		}
	}
	return ""
}

// making makes the jobs that a program wants, in their order: all, or none. Its steps are the loop's.
type making struct {
	s     *Supervisor
	at    *attached
	wants []wanted
	i     int // of the wants, the one that is made now
	made  int // jobs of it
	ids   []aem.JobID
	err   error
	undo  bool
}

// small reports whether one step is enough.
func (m *making) small() bool {
	jobs := 0
	for i := range m.wants {
		jobs += m.wants[i].count
	}
	return jobs <= registerAtOnce
}

func (m *making) step() (more bool) {
	if m.undo {
		return m.unmake()
	}
	m.err = nil
	m.s.batch(func() {
		for room := registerAtOnce; room > 0 && m.i < len(m.wants) && m.err == nil; {
			w := &m.wants[m.i]
			n := min(room, w.count-m.made)
			m.ids, m.err = m.s.registerFor(m.at, w, n, m.ids)
			if m.made, room = m.made+n, room-n; m.made == w.count {
				m.i, m.made = m.i+1, 0
			}
		}
	})
	if m.err != nil {
		return m.unmake()
	}
	return m.i < len(m.wants)
}

// unmake removes what was made before the refusal, if nobody has.
func (m *making) unmake() (more bool) {
	m.undo = true
	n := min(len(m.ids), registerAtOnce)
	for _, id := range m.ids[:n] {
		if m.s.jobs.get(id) != nil {
			m.s.remove(id)
		}
	}
	m.ids = m.ids[n:]
	return len(m.ids) > 0
}

// registerFor makes n jobs of what is wanted.
func (s *Supervisor) registerFor(at *attached, w *wanted, n int, ids []aem.JobID) ([]aem.JobID, error) {
	switch {
	case s.phase != running:
		return ids, errStopping
	case at.gone:
		return ids, control.Errorf(syscall.ENOTCONN, "register: the program is not attached any more")
	}
	reg := at.registrations[w.key]
	if reg == nil {
		var err error
		if reg, err = s.newRegistration(at.app, w.spec, at.pool); err != nil {
			return ids, err
		}
		reg.by, reg.key, reg.inherit = at, w.key, w.inherit
	}
	if err := at.app.roomForJobs([]*registration{reg}, n); err != nil {
		s.refused(at.app, err)
		return ids, err
	}
	if reg.jobs == 0 {
		s.jobs.declare(reg)
		at.registrations[w.key] = reg
		w.socket = 0
	}
	for range n {
		id, err := s.addJob(reg, w.spec.Source)
		ids, at.jobs = append(ids, id), append(at.jobs, id)
		at.live++
		if err != nil {
			return ids, err
		}
		if w.from != 0 {
			s.parents[id] = w.from
		}
		if w.spec.Start {
			s.start(id)
		}
	}
	return ids, nil
}

// inherit gives a program jobs like those of the program that forked it, which it knows the token of: born stopped, as
// all that is registered while the supervisor runs.
func (s *Supervisor) inherit(at *attached, token string) ([]control.Inherited, error) {
	inherited := []control.Inherited{}
	if token == "" {
		return inherited, nil
	}
	var wants []wanted
	var err error = errStopping
	s.ask(func() { wants, err = s.legacy(at, token) })
	if err != nil {
		return nil, err
	}
	m := &making{s: s, at: at, wants: wants, err: errStopping}
	for more := true; more && s.ask(func() { more = m.step() }); {
	}
	for i, id := range m.ids {
		inherited = append(inherited, control.Inherited{ID: id, Parent: wants[i].from})
	}
	return inherited, m.err
}

// legacy is what the program of a token leaves to those that it forks.
func (s *Supervisor) legacy(at *attached, token string) (wants []wanted, err error) {
	parent := s.tokens[token]
	if parent == nil || parent.app != at.app || parent.uid != at.uid {
		return nil, control.Errorf(syscall.EPERM, "attach: the token is not that of a program that is attached to app %s as uid %d", at.app.spec.Name, at.uid)
	}
	specs := map[*registration]*Registration{}
	for _, id := range parent.jobs {
		j := s.jobs.get(id)
		if j == nil || !s.jobs.registration(j).inherit {
			continue
		}
		reg := s.jobs.registration(j)
		spec := specs[reg]
		if spec == nil {
			spec = new(Registration)
			*spec, specs[reg] = *reg.spec, spec
			spec.Start = false
		}
		wants = append(wants, wanted{key: reg.key, spec: spec, inherit: true, count: 1, from: id})
	}
	return wants, nil
}
