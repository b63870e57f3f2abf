package supervisor

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/source"
)

// registerAtOnce bounds how many jobs one turn of the loop registers, starts, stops or removes for a program.
const registerAtOnce = 4096

// Register makes jobs of an app's event while the supervisor runs: one for each spec and handler, in that order, born
// stopped. Without specs there is one for each handler, of r.Source. An event of that name may have jobs already; its
// handlers and rules must be the same then. Thousands of jobs of one event cost little more than their counts.
//
// What is refused leaves no job behind. It may be called from anywhere but the loop, that is not from a callback.
func (s *Supervisor) Register(app string, r Registration, specs ...source.Spec) ([]aem.JobID, error) {
	if len(specs) == 0 {
		specs = []source.Spec{r.Source}
	}
	for _, spec := range specs {
		if spec == nil || r.Source == nil || spec.Type() != r.Source.Type() {
			return nil, fmt.Errorf("register %s/%s: all specs are of one type, which is also that of the registration", app, r.Name)
		}
		if err := source.Check(spec); err != nil {
			return nil, fmt.Errorf("register %s/%s: %w", app, r.Name, err)
		}
	}
	var ids []aem.JobID
	for len(specs) > 0 {
		n := min(len(specs), registerAtOnce)
		err := errStopping
		s.ask(func() { ids, err = s.registerSome(app, r, specs[:n], ids) })
		if err != nil {
			return nil, errors.Join(fmt.Errorf("register %s/%s: %w", app, r.Name, err), s.Remove(ids...))
		}
		specs = specs[n:]
	}
	return ids, nil
}

// registerSome is Register for as many jobs as one turn takes.
func (s *Supervisor) registerSome(name string, r Registration, specs []source.Spec, ids []aem.JobID) ([]aem.JobID, error) {
	if s.phase != running {
		return ids, errStopping
	}
	a := s.appNamed(name)
	if a == nil {
		return ids, errors.New("no such app")
	}
	regs, err := s.eventOf(a, r)
	if err == nil {
		err = a.roomForJobs(regs, len(specs))
	}
	if err != nil {
		s.undeclare(a, r.Name)
		s.refused(a, err)
		return ids, err
	}
	for _, spec := range specs {
		for _, reg := range regs {
			id, err := s.addJob(reg, spec)
			if ids = append(ids, id); err != nil {
				return ids, err
			}
		}
	}
	return ids, nil
}

// eventOf is the registrations of an event, which it declares if nobody has.
func (s *Supervisor) eventOf(a *app, r Registration) ([]*registration, error) {
	regs := a.events[r.Name]
	if regs == nil {
		if err := aem.CheckName(r.Name); err != nil {
			return nil, err
		}
		return s.declare(a, &r)
	}
	have := *regs[0].spec
	have.Source, r.Source = nil, nil
	if len(regs) != len(r.Handlers) || !reflect.DeepEqual(have, r) {
		return nil, errors.New("the event is there already, with other handlers or rules")
	}
	return regs, nil
}

func (s *Supervisor) appNamed(name string) *app {
	for _, a := range s.apps {
		if a.spec.Name == name {
			return a
		}
	}
	return nil
}

// Start has jobs detect; Stop ends that, what is activated stays so, and sockets stay open for who comes; Remove ends jobs
// for good. Each does all that it can, and reports ids that name no job. They may be called from anywhere but the loop.
func (s *Supervisor) Start(ids ...aem.JobID) error { return s.eachJob("start", ids, s.start) }

// Stop is described at Start.
func (s *Supervisor) Stop(ids ...aem.JobID) error { return s.eachJob("stop", ids, s.pause) }

// Remove is described at Start.
func (s *Supervisor) Remove(ids ...aem.JobID) error { return s.eachJob("remove", ids, s.remove) }

// batch does f, in which sources that can start jobs at less cost.
func (s *Supervisor) batch(f func()) {
	for _, src := range s.sources {
		if b, ok := src.(source.Batcher); ok {
			inner := f
			f = func() { b.Batch(inner) }
		}
	}
	f()
}

func (s *Supervisor) eachJob(verb string, ids []aem.JobID, do func(aem.JobID)) error {
	unknown := 0
	for len(ids) > 0 {
		n := min(len(ids), registerAtOnce)
		alive := s.ask(func() {
			s.batch(func() {
				for _, id := range ids[:n] {
					if s.jobs.get(id) == nil {
						unknown++
						continue
					}
					do(id)
				}
			})
		})
		if !alive {
			return fmt.Errorf("%s: %w", verb, errStopping)
		}
		ids = ids[n:]
	}
	if unknown > 0 {
		return fmt.Errorf("%s: %d jobs are not there", verb, unknown)
	}
	return nil
}
