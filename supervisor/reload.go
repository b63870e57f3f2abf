package supervisor

import (
	"context"
	"errors"
	"reflect"
	"runtime"
	"slices"
	"syscall"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/source"
)

// reload is one change from the options that a supervisor runs with to others. In this order:
//
//  1. plan: the differences, as values (plan.go).
//  2. make: new apps, and the pools of new and renewed handlers, beside the loop: nobody uses them yet. What the host refuses
//     of their processes is waited for.
//  3. hold: the kernel holds apps to their new numbers, if all went well so far. It can refuse some, and takes its time.
//  4. judge: the new registrations, against what is there and what was made.
//  5. follow: what is gone ends, pools change hands, new jobs begin. Nothing in it can fail (follow.go).
//
// The last two are one turn of the loop. Errors of all but the last are told together, and what was made is let go of.
type reload struct {
	s      *Supervisor
	next   *Options
	plan   plan
	made   []*app                         // in whatever state
	apps   map[string]*app                // of those made, the good ones
	pools  map[handlerName]*executor.Pool // made
	regs   map[jobName]*registration      // of jobs that are new, or go on by other rules
	gone   map[*registration]bool         // whose jobs end
	ids    map[*registration][]aem.JobID  // of jobs that stay
	turned []*app                         // whose start says something else
	held   []*app                         // that the kernel holds to other numbers already
}

// handlerName and jobName are how a plan's steps are found.
type (
	handlerName struct{ app, handler string }
	jobName     struct{ app, event, handler string }
)

// Reload has the supervisor run with other options where they say something else: what is equal in both goes on as it is. It
// returns what became of what, or all errors at once, HostErrors joined, and then nothing has changed. It may be called
// from anywhere but the loop.
func (s *Supervisor) Reload(o Options) ([]control.Change, error) {
	if !s.reloading.TryLock() {
		return nil, control.Errorf(syscall.EAGAIN, "reload: another one is under way, or the supervisor is stopping")
	}
	defer s.reloading.Unlock()
	r := &reload{s: s, next: &o, apps: map[string]*app{}, pools: map[handlerName]*executor.Pool{}, regs: map[jobName]*registration{}}
	err := r.prepare()
	if err == nil {
		err = r.hold()
	}
	alive := s.ask(func() {
		if err = errors.Join(err, r.judge()); err == nil {
			r.follow()
		} else {
			r.discard()
		}
	})
	if !alive { // then what is the loop's is nobody's, and Run waits for us
		err = errors.Join(err, errStopping)
		r.discard()
	}
	if err != nil {
		err = errors.Join(err, r.letGo())
		for _, a := range r.made {
			err = errors.Join(err, a.close())
		}
		return nil, err
	}
	changes := make([]control.Change, len(r.plan))
	for i, c := range r.plan {
		changes[i] = c.told()
	}
	return changes, nil
}

// prepare is all that comes before the one turn. The apps that there are and their options change in a reload only, of
// which there is one at a time.
func (r *reload) prepare() (err error) {
	r.plan, err = difference(&r.s.options, r.next)
	err = errors.Join(err, r.s.stage.Grow(len(r.next.Apps)))
	for _, c := range r.plan {
		err = errors.Join(err, r.make(c))
	}
	for name, p := range r.pools {
		if refused := p.Rehearsed(); refused != nil {
			err = errors.Join(err, placed(refused, "app", name.app, "handler", name.handler))
		}
	}
	return err
}

// hold has the kernel hold apps to their new numbers: all of them, or none.
func (r *reload) hold() error {
	for _, a := range r.s.apps {
		is := r.next.app(a.spec.Name)
		if is == nil {
			continue
		}
		if err := a.work.Group.Update(a.spec.Limits, is.Limits); err != nil {
			return placed(err, "app", a.spec.Name, "limits")
		}
		r.held = append(r.held, a)
	}
	return nil
}

// letGo has it hold them to the old ones again.
func (r *reload) letGo() (err error) {
	for _, a := range r.held {
		if refused := a.work.Group.Update(r.next.app(a.spec.Name).Limits, a.spec.Limits); refused != nil {
			err = errors.Join(err, placed(refused, "app", a.spec.Name, "limits"))
		}
	}
	return err
}

// app is the app that a step is about, made or there; nil: it could not be made.
func (r *reload) app(name string) *app {
	if a := r.apps[name]; a != nil {
		return a
	}
	return r.s.appNamed(name)
}

// make makes what a step of the plan needs.
func (r *reload) make(c change) error {
	spec, leaves := r.next.app(c.app), false
	switch {
	case c.verb == removed:
		return nil
	case c.event != "":
		if err := source.CheckPlace(spec.job(c.event, c.handler).Source); err != nil {
			return placed(err, "app", c.app, "event", c.event)
		}
		return nil
	case c.verb == changed:
		return nil
	case c.handler != "":
		a := r.app(c.app)
		if a == nil {
			return nil // which is told
		}
		p, err := r.s.openPool(a, spec.handler(c.handler))
		if err == nil {
			r.pools[handlerName{c.app, c.handler}] = p
		}
		return err
	}
	if r.s.ask(func() { leaves = r.s.leaves(c.app) }); leaves {
		return placed(errLeaving, "app", c.app)
	}
	a, err := r.s.openApp(spec)
	if a != nil {
		r.made = append(r.made, a)
	}
	if err == nil {
		r.apps[c.app] = a
	}
	return err
}

// judge makes the registrations of jobs that are new or go on by other rules, and finds what is against them.
func (r *reload) judge() error {
	if r.s.phase != running {
		return errStopping
	}
	var errs []error
	for _, a := range r.apps {
		errs = append(errs, r.s.enlist(a))
	}
	r.limit(r.next)
	r.gone = r.goes()
	need := map[*gauge]int64{}
	for reg := range r.gone {
		for _, g := range reg.app.ofJob(reg.spec.Source.Type(), reg.pool.Spec().Agent) {
			need[g] -= int64(reg.jobs)
		}
	}
	for _, c := range r.plan {
		a, name := r.app(c.app), jobName{c.app, c.event, c.handler}
		if c.event == "" || c.verb == removed || a == nil {
			continue
		}
		pool := r.pools[handlerName{c.app, c.handler}]
		if pool == nil {
			pool = a.pools[c.handler]
		}
		if pool == nil {
			continue // it could not be made, which is told
		}
		spec := r.next.app(c.app).job(c.event, c.handler)
		reg, err := r.s.newRegistration(a, spec, pool)
		if err == nil && c.verb == added && slices.ContainsFunc(a.events[c.event], func(reg *registration) bool { return !reg.lasting }) {
			err = errors.New("a program has registered an event of that name")
		}
		if err != nil {
			errs = append(errs, placed(err, "app", c.app, "event", c.event))
			continue
		}
		r.regs[name] = reg
		if c.verb != changed {
			for _, g := range a.ofJob(spec.Source.Type(), pool.Spec().Agent) {
				need[g]++
			}
		}
	}
	for _, a := range slices.Concat(r.s.apps, r.made) {
		for _, g := range a.gauges.all() {
			if n := need[g]; n > 0 && !g.Room(n) {
				errs = append(errs, placed(&limitError{a.spec.Name, g}, "app", a.spec.Name, "limits", g.Name))
			}
		}
	}
	return errors.Join(errs...)
}

// goes finds whose jobs end: those that are gone or have another source, and all that a handler had, where it is gone or
// runs on another kind of agent.
func (r *reload) goes() map[*registration]bool {
	apps, handlers, jobs := map[string]bool{}, map[handlerName]bool{}, map[jobName]bool{}
	for _, c := range r.plan {
		switch {
		case c.verb != removed && c.verb != renewed:
		case c.event != "":
			jobs[jobName{c.app, c.event, c.handler}] = true
		case c.handler == "":
			apps[c.app] = true
		default:
			p := r.pools[handlerName{c.app, c.handler}]
			handlers[handlerName{c.app, c.handler}] = c.verb == removed ||
				p != nil && p.Spec().Agent != r.s.appNamed(c.app).pools[c.handler].Spec().Agent
		}
	}
	gone := map[*registration]bool{}
	for _, reg := range r.s.jobs.registrations {
		if reg == nil || reg.by != nil {
			continue
		}
		app := reg.app.spec.Name
		if apps[app] || handlers[handlerName{app, reg.handler}] || reg.lasting && jobs[jobName{app, reg.spec.Name, reg.handler}] {
			gone[reg] = true
		}
	}
	return gone
}

// limit has the apps that stay counted to the numbers of some options.
func (r *reload) limit(o *Options) {
	for _, a := range r.s.apps {
		if spec := o.app(a.spec.Name); spec != nil && reflect.DeepEqual(lasting(spec.Limits), lasting(a.spec.Limits)) {
			a.gauges.set(spec.Limits)
		}
	}
}

// discard lets go of what was made, on the loop; made apps are closed elsewhere, because that may take a while.
func (r *reload) discard() {
	r.limit(&r.s.options)
	for name, p := range r.pools {
		if r.apps[name.app] == nil {
			p.Close()
		} else {
			r.apps[name.app].pools[name.handler] = p // closed with it
		}
	}
	for _, a := range r.made {
		r.s.forgetApp(a)
	}
}

// answerReload reads again what the supervisor was made of.
func (s *Supervisor) answerReload(_ context.Context, peer control.Peer, req control.Request) control.Reply {
	if !trusted(peer) {
		return control.Refuse(syscall.EPERM, "%v: uid %d may not", req.Op, peer.UID)
	}
	if s.options.Reload == nil {
		return control.Refuse(syscall.EOPNOTSUPP, "%v: there is nothing to read again", req.Op)
	}
	done, err := s.options.Reload()
	if err != nil {
		return refusal(req.Op, err)
	}
	return control.Done(done)
}

// widen makes room for what runs now beside the loop.
func (s *Supervisor) widen() {
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), s.lockedThreads()+2))
	if err := s.outrank(); err != nil {
		s.log.Error("the loop does not outrank threads of handlers", "err", err)
	}
}
