package supervisor

import (
	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
)

// Sources whose jobs hold something of the kernel are told to hold it as soon as there is no room, and told again when
// there is. A source that has everything in memory, and perhaps a million jobs, asks instead, before each event: a job
// is held when it would detect something, and the others never notice.

// Room reports whether there is room for an event of a job. Without it, the job is held until there is.
func (s *Supervisor) Room(id aem.JobID) bool {
	j := s.jobs.get(id)
	if j == nil || !j.started {
		return true // to be dropped
	}
	reg := s.jobs.registration(j)
	if late, down := s.down[reg.pool]; down {
		s.hold(id, holdAgents)
		s.down[reg.pool] = append(late, id)
		return false
	}
	if reg.spec.Full == ShedFull || !reg.limited() {
		return true
	}
	s.hold(id, holdLimit)
	a := reg.app
	if len(a.late) == 0 {
		s.late = append(s.late, a)
	}
	a.late = append(a.late, id)
	return false
}

// lateLook bounds how many jobs that found no room are looked at in one turn.
const lateLook = 256

// releaseLate has jobs that found no room ask again, as many as there is room for now. It is called once in a turn, so
// that they have asked before it is called again.
func (s *Supervisor) releaseLate() {
	waiting := s.late[:0]
	for _, a := range s.late {
		room := a.gauges.activations.Most - a.gauges.activations.Used
		for range min(lateLook, len(a.late)) {
			if !a.gauges.activations.Since.IsZero() || !a.gauges.bytes.Since.IsZero() || room <= 0 {
				break
			}
			id := a.late[0]
			a.late = a.late[1:]
			if j := s.jobs.get(id); j == nil || j.holds&holdLimit == 0 {
				continue // it was stopped, or removed
			} else if s.jobs.registration(j).limited() {
				a.late = append(a.late, id) // another of its limits is reached still
				continue
			}
			s.release(id, holdLimit)
			room--
		}
		if len(a.late) > 0 {
			waiting = append(waiting, a)
		} else {
			a.late = nil
		}
	}
	clear(s.late[len(waiting):])
	s.late = waiting
}

// poolDown notes that a pool has no agents at all and can make none, or that it can again.
func (s *Supervisor) poolDown(p *executor.Pool, up, down bool) {
	late, was := s.down[p]
	switch {
	case up:
		delete(s.down, p)
		for _, id := range late {
			s.release(id, holdAgents)
		}
	case down && !was:
		s.down[p] = nil
	}
}
