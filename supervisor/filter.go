package supervisor

import (
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/filter"
	"github.com/aem-exec/aem-exec/internal/timing"
	"github.com/aem-exec/aem-exec/source"
)

// compileFilter makes the filter of an expression about events of a type; nil for an empty one.
func compileFilter(text, typ string) (*filter.Filter, error) {
	if text == "" {
		return nil, nil
	}
	row, _ := source.TypeNamed(typ)
	return filter.Compile(text, source.Kinds(row.Facts))
}

// filterOf is what an event has to pass to be detected for a job; nil: everything does.
func (s *Supervisor) filterOf(j *job, reg *registration) *filter.Filter {
	if j.narrowed {
		return s.narrowed[j.id]
	}
	return reg.filter
}

// meant reports whether an event is what a job wants to be told of. One that cannot be judged is: a mistake in a filter
// loses nothing.
func (s *Supervisor) meant(j *job, reg *registration, f *filter.Filter, e *aem.Event) bool {
	ok, err := f.Match(e)
	if err != nil {
		if reg.judged == 0 || time.Duration(timing.Now()-reg.judged) >= tellTrouble {
			reg.judged = timing.Now()
			s.log.Warn("a filter cannot judge its events: they pass", "job", reg.name(), "err", err)
		}
		return true
	}
	if !ok {
		s.jobs.rest(j).filtered += uint64(e.Count)
		s.pass(e)
	}
	return ok
}

// pass lets go of an event that a job did not want: it was never detected.
func (s *Supervisor) pass(e *aem.Event) {
	s.notMeant++
	if w := s.waiters[e.ID]; w != nil {
		if w.left--; w.left == 0 {
			delete(s.waiters, e.ID)
			close(w.done)
		}
	}
	dismiss(e, &aem.Completion{Outcome: aem.Shed, Exit: -1})
}
