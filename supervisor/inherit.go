package supervisor

import (
	"syscall"

	"github.com/aem-exec/aem-exec/control"
)

// inherit gives a program jobs like those of the program that forked it, which it knows the token of: born stopped, as
// all that is registered while the supervisor runs.
func (s *Supervisor) inherit(at *attached, token string) ([]control.Inherited, error) {
	inherited := []control.Inherited{}
	if token == "" {
		return inherited, nil
	}
	var wants []wanted
	err := errStopping
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
