package supervisor

import (
	"context"
	"syscall"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
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
