package supervisor

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
)

// follow is the last step of a reload: all of it was judged, so that nothing is left half done. What is gone goes first:
// what comes may want its addresses and its room.
func (r *reload) follow() {
	s := r.s
	r.endJobs()
	s.options.Grace, s.options.Apps = r.next.Grace, r.next.Apps
	r.passPools()
	was := s.apps
	s.apps = make([]*app, len(s.options.Apps))
	for i := range s.apps {
		spec := &s.options.Apps[i]
		a := r.appAmong(was, spec.Name)
		a.work.Lane.Widen(laneQueue(a.spec) + laneQueue(spec)) // what was there before is there for a while
		if a.spec.Start != spec.Start {
			r.turned = append(r.turned, a)
		}
		other := !reflect.DeepEqual(a.spec.Limits, spec.Limits)
		if a.spec, s.apps[i] = spec, a; other {
			s.relimited(a)
		}
	}
	for _, a := range was {
		if !slices.Contains(s.apps, a) {
			s.partWith(a)
		}
	}
	r.beginJobs()
	for _, a := range r.apps {
		s.announceApp(a)
	}
	s.widen()
}

func (r *reload) appAmong(apps []*app, name string) *app {
	if a := r.apps[name]; a != nil {
		return a
	}
	return apps[slices.IndexFunc(apps, func(a *app) bool { return a.spec.Name == name })]
}

// endJobs ends the jobs that are gone, and finds those that go on by other rules.
func (r *reload) endJobs() {
	s := r.s
	r.ids = map[*registration][]aem.JobID{}
	if len(r.plan) == 0 {
		return
	}
	for id := range s.jobs.all() {
		reg := s.jobs.registration(s.jobs.get(id))
		name := jobName{reg.app.spec.Name, reg.spec.Name, reg.handler}
		switch {
		case r.gone[reg]:
			if r.regs[name] == nil {
				s.lastRuns.forget(reg)
			}
			s.remove(id)
		case reg.lasting:
			r.ids[reg] = append(r.ids[reg], id)
		}
	}
}

// passPools gives the jobs of renewed handlers to their new pools, and retires those that nobody has any more.
func (r *reload) passPools() {
	s := r.s
	for _, c := range r.plan {
		if c.event != "" || c.handler == "" {
			continue
		}
		a, p := r.app(c.app), r.pools[handlerName{c.app, c.handler}]
		former := a.pools[c.handler]
		if p != nil {
			s.addPool(a, p)
		} else {
			delete(a.pools, c.handler)
		}
		if former != nil {
			s.retire(former, p)
		}
	}
}

// beginJobs makes the jobs that are new, and has those that were there go on by what their app says now.
func (r *reload) beginJobs() {
	s := r.s
	var begin []aem.JobID
	for _, a := range s.apps {
		for spec, handler := range a.spec.jobs() {
			fresh, live := r.regs[jobName{a.spec.Name, spec.Name, handler}], a.registration(spec.Name, handler)
			switch {
			case live == nil:
				s.jobs.declare(fresh)
				fresh.lasting = true
				a.events[spec.Name] = append(a.events[spec.Name], fresh)
				id, err := s.addJob(fresh, spec.Source)
				if err != nil { // which a spec that passed its check is not refused with
					s.log.Error("cannot keep", "job", fresh.name(), "err", err)
				}
				if spec.Start && a.spec.Start {
					begin = append(begin, id)
				}
			case fresh == nil:
				live.spec = spec
			default:
				was := live.spec
				live.spec, live.filter, live.merge = spec, fresh.filter, fresh.merge
				for _, id := range r.ids[live] { // one, and those that a program has registered beside it
					s.ruled(s.jobs.get(id), live, was)
				}
			}
		}
	}
	for name := range r.pools {
		if a := s.appNamed(name.app); a.spec.Start {
			a.pools[name.handler].Start()
		}
	}
	for _, a := range r.turned {
		begin = append(begin, r.turn(a)...)
	}
	s.batch(func() {
		for _, id := range begin {
			s.start(id)
		}
	})
}

// turn has an app's agents made, or its jobs stopped, as its start says now. It returns the jobs to start.
func (r *reload) turn(a *app) (begin []aem.JobID) {
	if a.spec.Start {
		for _, p := range a.pools {
			p.Start()
		}
	}
	for reg, ids := range r.ids {
		for _, id := range ids {
			switch {
			case reg.app != a:
			case !a.spec.Start:
				r.s.stop(id)
			case reg.spec.Start:
				begin = append(begin, id)
			}
		}
	}
	return begin
}

// ruled has a job go on by the rules that its registration has now.
func (s *Supervisor) ruled(j *job, reg *registration, was *Registration) {
	is := reg.spec
	delete(s.latest, j.id)
	if is.Priority != was.Priority {
		s.setPriority(is.Priority, j)
	}
	if is.Filter != was.Filter {
		j.narrowed = false
		delete(s.narrowed, j.id)
	}
	if s.endSilence(j.id); j.started {
		s.watchSilence(j.id, reg, time.Now())
	}
	if is.Full == ShedFull {
		s.release(j.id, holdLimit)
	} else if !reg.asks && reg.limited() {
		s.hold(j.id, holdLimit)
	}
	switch {
	case is.Start == was.Start:
	case is.Start && reg.app.spec.Start:
		s.start(j.id)
	default:
		s.stop(j.id)
	}
}

// retire has a pool run nothing more. Its heir, if there is one, has its jobs from here on.
func (s *Supervisor) retire(p, heir *executor.Pool) {
	s.AgentTrouble(p, nil, false) // nobody is held for it any more
	delete(s.troubled, p)
	s.retired = append(s.retired, p)
	if heir == nil {
		p.Retire()
		return
	}
	for _, reg := range s.jobs.registrations {
		if reg != nil && reg.pool == p {
			reg.pool = heir
		}
	}
	heir.Succeed(p)
}

// partWith ends an app that is gone: its handlers' pools are retired. Programs that attached themselves to it are none of
// those, and have their jobs taken back as at their own end.
func (s *Supervisor) partWith(a *app) {
	s.leaving = append(s.leaving, a)
	for _, p := range s.pools {
		if s.owners[p] == a && p.Spec().Life == executor.Attached {
			p.Detach(errors.New("its app is gone"))
		}
	}
}

// dissolve lets go of retired pools and of apps that are gone, when nothing of them runs any more.
func (s *Supervisor) dissolve() {
	if len(s.retired)+len(s.leaving) == 0 {
		return
	}
	s.retired = slices.DeleteFunc(s.retired, func(p *executor.Pool) bool {
		return !slices.Contains(s.leaving, s.owners[p]) && p.Dissolve(func() { s.forgetPool(p) })
	})
	for _, a := range s.leaving {
		if !a.ending && !slices.ContainsFunc(s.pools, func(p *executor.Pool) bool { return s.owners[p] == a && !p.Ended() }) {
			s.closeApp(a)
		}
	}
}

// closeApp closes an app of which nothing runs. That may take a while.
func (s *Supervisor) closeApp(a *app) {
	a.ending = true
	s.closing.Go(func() {
		a.work.Lane.Close() // what it has posted by now comes before what follows
		s.ask(func() { s.forgetApp(a) })
		err := a.close()
		s.Post(func() {
			s.leaving = slices.DeleteFunc(s.leaving, func(other *app) bool { return other == a })
			if err != nil {
				s.log.Error("cannot let go of an app", "app", a.spec.Name, "err", err)
			}
		})
	})
}

// forgetApp takes an app that is to be closed, and of which nothing runs, off every list.
func (s *Supervisor) forgetApp(a *app) {
	for _, w := range a.kernel.watches {
		s.poller.Remove(w)
	}
	a.kernel.watches = nil
	a.kernel.look.Stop()
	a.closeLater.Stop()
	for _, g := range slices.Concat(a.kernel.gauges, a.gauges.all()) {
		g.quiet.Stop()
	}
	maps.DeleteFunc(s.denials.witnesses, func(_ uint32, w *witness) bool { return w.app == a.spec.Name })
	s.orphans.forget(a.work.Cell)
	for _, p := range slices.Clone(s.pools) {
		if s.owners[p] == a {
			a.retired = append(a.retired, p) // closed with it
			s.forgetPool(p)
		}
	}
	s.retired = slices.DeleteFunc(s.retired, func(p *executor.Pool) bool { return slices.Contains(a.retired, p) })
}

// errLeaving is why an app cannot come back.
var errLeaving = errors.New("it was taken away, and something of it runs yet: try again")

// leaves reports whether an app that is gone from the options is still ending.
func (s *Supervisor) leaves(name string) bool {
	return slices.ContainsFunc(s.leaving, func(a *app) bool { return a.spec.Name == name })
}
