package supervisor

import (
	"context"
	"slices"
	"strings"
	"syscall"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
)

// letters are the dead letters that a request means and its peer may see.
func (s *Supervisor) letters(peer control.Peer, req control.Request) ([]*letter, error) {
	every := req.All || len(req.Selectors) == 0 && len(req.IDs) == 0
	may := s.mayRead(peer)
	found := s.dead.match(func(l *letter) bool {
		app, rest, _ := strings.Cut(l.Job, "/")
		event, handler, _ := strings.Cut(rest, ":")
		if !may(app) {
			return false
		}
		return every || slices.Contains(req.IDs, l.ID) || slices.ContainsFunc(req.Selectors, func(sel control.Selector) bool {
			return sel.Match(0, app, event, handler)
		})
	})
	for _, id := range req.IDs {
		if !slices.ContainsFunc(found, func(l *letter) bool { return l.ID == id }) {
			return nil, control.Errorf(syscall.ENOENT, "%v: no dead letter %s", req.Op, id)
		}
	}
	return found, nil
}

// mayRead says of which apps a peer may see the dead letters; of those of apps that are gone only who may see all.
func (s *Supervisor) mayRead(peer control.Peer) func(app string) bool {
	may := map[string]bool{}
	s.ask(func() {
		for _, a := range s.apps {
			may[a.spec.Name] = s.may(peer, a)
		}
	})
	return func(app string) bool {
		allowed, there := may[app]
		return allowed || !there && trusted(peer)
	}
}

func (s *Supervisor) answerDeadList(_ context.Context, peer control.Peer, req control.Request) control.Reply {
	found, err := s.letters(peer, req)
	if err != nil {
		return refusal(req.Op, err)
	}
	list := make([]control.Letter, len(found))
	for i, l := range found {
		list[i] = l.Letter
	}
	return control.Done(list)
}

func (s *Supervisor) answerDeadShow(_ context.Context, peer control.Peer, req control.Request) control.Reply {
	found, err := s.letters(peer, req)
	if err == nil && len(found) != 1 {
		err = control.Errorf(syscall.EINVAL, "dead show: %d letters are meant: want one", len(found))
	}
	if err != nil {
		return refusal(req.Op, err)
	}
	data, err := s.dead.data(found[0])
	if err != nil {
		return refusal(req.Op, err)
	}
	reply := control.Done(found[0].Letter)
	reply.Data = data
	return reply
}

func (s *Supervisor) answerDeadDrop(_ context.Context, peer control.Peer, req control.Request) control.Reply {
	found, err := s.letters(peer, req)
	if err != nil {
		return refusal(req.Op, err)
	}
	dropped := []aem.EventID{}
	for _, l := range found {
		if s.dead.drop(l) {
			dropped = append(dropped, l.ID)
		}
	}
	return control.Done(dropped)
}

// answerDeadReplay detects letters anew, one after the other, and stops at the first that cannot be.
func (s *Supervisor) answerDeadReplay(_ context.Context, peer control.Peer, req control.Request) control.Reply {
	found, err := s.letters(peer, req)
	if err != nil {
		return refusal(req.Op, err)
	}
	replayed := []control.Replayed{}
	for _, l := range found {
		id, err := s.replay(l)
		if err != nil {
			return refusal(req.Op, err)
		}
		replayed = append(replayed, control.Replayed{ID: id, Of: l.ID})
	}
	return control.Done(replayed)
}

// replay is a new detection of a letter's event, for the job that failed it. The letter leaves the list; its job's
// books keep it as failed.
func (s *Supervisor) replay(l *letter) (id aem.EventID, err error) {
	if l.Connection {
		return 0, control.Errorf(syscall.ENOTCONN, "dead replay: %s: its connection is gone", l.ID)
	}
	data, err := s.dead.data(l)
	if err != nil {
		return 0, err
	}
	err = control.Errorf(syscall.ESHUTDOWN, "dead replay: %v", errStopping)
	s.ask(func() { id, err = s.replayOnLoop(l, data) })
	return id, err
}

func (s *Supervisor) replayOnLoop(l *letter, data []byte) (aem.EventID, error) {
	j := s.jobNamed(l.Job)
	if j == nil || s.phase != running {
		return 0, control.Errorf(syscall.ENOENT, "dead replay: %s: job %s is not there", l.ID, l.Job)
	}
	reg := s.jobs.registration(j)
	if g := reg.full(); g != nil {
		return 0, &limitError{reg.app.spec.Name, g}
	}
	if !s.dead.drop(l) {
		return 0, control.Errorf(syscall.ENOENT, "dead replay: no dead letter %s", l.ID)
	}
	e := s.NewEvent(l.Type)
	e.Data, e.Of = data, l.ID
	for _, f := range l.Facts {
		e.Add(aem.Fact{Name: f.Name, Value: f.Value})
	}
	s.activate(j, reg, e)
	return e.ID, nil
}

func (s *Supervisor) jobNamed(name string) *job {
	for id := range s.jobs.all() {
		if j := s.jobs.get(id); s.jobs.registration(j).name() == name {
			return j
		}
	}
	return nil
}
