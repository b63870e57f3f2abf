package supervisor

import (
	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
)

// An attempt whose process ended in the middle of it is not over before its destructor was: the activation goes back to the
// head of its queue, another process of its handler is given it for that alone, and only then it has its fate or waits for
// another attempt. That is tried once.

// destruct takes a completion that a destructor is still to be run for, or puts in its place the one that it was run for.
// It reports whether nothing else is to be done by now.
func (s *Supervisor) destruct(p *executor.Pool, j *job, reg *registration, a *aem.Activation, c *aem.Completion) bool {
	switch {
	case a.Interrupted == nil:
		if !c.Undone || s.phase != running {
			return false
		}
		interrupted := *c
		a.Interrupted = &interrupted
	case c.Outcome != aem.Returned || s.phase != running:
		if c.Outcome != aem.Done {
			s.log.Warn("destructor failed", "job", reg.name(), "id", a.Event.ID, "attempt", a.Attempt, "reason", c.Reason, "signal", c.Signal,
				"err", c.Err, "stderr", c.Stderr)
		}
		*c, a.Interrupted = *a.Interrupted, nil
		return false
	}
	j.waiting += uint64(a.Event.Count)
	a.Started, a.Expires = 0, 0 // however late it is
	p.Return(a)
	return true
}
