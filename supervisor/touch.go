package supervisor

import (
	"slices"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/executor"
)

// act is what an operation does to jobs. Only do must be there.
type act struct {
	// may reports what is against it, of all jobs together: then none is touched.
	may func(jobs []*job) error
	// ahead is done to as many as one turn takes, and then do to each of them.
	ahead func(jobs []*job)
	do    func(j *job, t *control.Touched)
	// after is called when may has passed and all is done.
	after func()
}

// touch acts on the jobs that a request means, on as many in a turn as others can wait for, and answers with their names, or how
// many they are. Jobs that are removed between two turns are passed over.
func (s *Supervisor) touch(peer control.Peer, req control.Request, a act) control.Reply {
	var ids []aem.JobID // nil: not looked for yet
	touched, acted, err := []control.Touched{}, 0, errStopping
	step := func() (more bool) {
		if ids == nil {
			if ids, err = s.meantBy(peer, req, a.may); err != nil {
				return false
			}
		}
		n := min(len(ids), registerAtOnce)
		jobs := make([]*job, 0, n)
		for _, id := range ids[:n] {
			if j := s.jobs.get(id); j != nil {
				jobs = append(jobs, j)
			}
		}
		if a.ahead != nil {
			a.ahead(jobs)
		}
		s.batch(func() {
			for _, j := range jobs {
				t := control.Touched{ID: j.id}
				if acted++; !req.Quiet {
					t.Job = s.jobs.registration(j).name()
				}
				if a.do(j, &t); !req.Quiet {
					touched = append(touched, t)
				}
			}
		})
		if ids = ids[n:]; len(ids) == 0 && a.after != nil {
			a.after()
		}
		return len(ids) > 0
	}
	one := !req.Own && !req.All && identifies(req) && len(req.Selectors) <= registerAtOnce
	return s.inTurns(one, step, func() control.Reply {
		switch {
		case err != nil:
			return refusal(req.Op, err)
		case req.Quiet:
			return control.Done(control.Acted{Jobs: acted})
		}
		return control.Done(touched)
	})
}

// meantBy is the ids of the jobs that a request means, if nothing is against it.
func (s *Supervisor) meantBy(peer control.Peer, req control.Request, may func([]*job) error) ([]aem.JobID, error) {
	jobs, err := s.selected(peer, req)
	if err == nil && may != nil {
		err = may(jobs)
	}
	ids := make([]aem.JobID, len(jobs))
	for i, j := range jobs {
		ids[i] = j.id
	}
	return ids, err
}

// waitingOf is what waits of jobs: the pools that have some of it in their queues, and which of these is meant. Going through a
// queue once for each of thousands of jobs would take minutes.
func (s *Supervisor) waitingOf(jobs []*job) (pools []*executor.Pool, meant func(*aem.Activation) bool) {
	waits := map[aem.JobID]bool{}
	for _, j := range jobs {
		if j.waiting == 0 {
			continue
		}
		waits[j.id] = true
		if p := s.jobs.registration(j).pool; !slices.Contains(pools, p) {
			pools = append(pools, p)
		}
	}
	return pools, func(a *aem.Activation) bool { return waits[a.Job] }
}
