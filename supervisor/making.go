package supervisor

import (
	"syscall"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
)

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
