package supervisor

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/filter"
	"github.com/aem-exec/aem-exec/internal/spawn"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/internal/timing"
	"github.com/aem-exec/aem-exec/policy"
	"github.com/aem-exec/aem-exec/source"
)

// app is one app while it lives: its counts, its cgroup, its lane and the pools of its handlers.
type app struct {
	spec  *App
	work  *executor.Workplace
	pools map[string]*executor.Pool // by handler
	eager []aem.JobID               // jobs whose sources are told to hold; the others ask, see Room
	late  []aem.JobID               // jobs that asked and found no room, in that order

	events  map[string][]*registration // by event, for each of its handlers
	gauges  gauges
	kernel  kernelLimits
	removed aem.Counts

	spent      []int // sockets of programs, to be closed
	closing    bool  // the lane closes some
	closeLater timing.Alarm

	waits  waits
	unseen error // why calls that its policy has recorded cannot be told; nil: they are

	session   uint32 // of its lane's, in the kernel's audit records
	witnessed bool   // it has one
	probed    bool   // whether its handlers' memory can be written to
	ending    bool
	retired   []*executor.Pool // when it ends: those that no job had any more
}

// registration is what jobs were registered as: one event for one handler. Most often it has one job; a program may
// register many of the same event while the supervisor runs.
type registration struct {
	place   uint32 // in registry.registrations
	jobs    uint32 // of it
	app     *app
	spec    *Registration
	pool    *executor.Pool
	handler string
	source  source.Source
	asks    bool     // the source asks for room before each event
	lasting bool     // in the options: the next run has it too
	counted []*gauge // the limits that its activations count for
	failure failures
	timeout time.Duration  // as evctl set it, like aem.Activation's
	told    int64          // when its trouble was last logged
	filter  *filter.Filter // nil: everything is meant
	judged  int64          // when it was last logged that it could not judge
	merge   func(into, e *aem.Event)
	overdue timing.Alarm // when what waits is looked through for what is overdue

	by      *attached // whose it is; nil: the options', or the embedding program's
	key     string    // among those of the program
	inherit bool      // programs that it forks may have it
}

// name is how people address the job: app/event, with the handler where there are several.
func (r *registration) name() string {
	name := r.app.spec.Name + "/" + r.spec.Name
	if len(r.spec.Handlers) > 1 || r.by != nil {
		name += ":" + r.handler
	}
	return name
}

// openApp makes what the app's agents share. It refuses rather than run them under less than was asked for. It touches
// nothing of the loop's, which enlist gives it to.
func (s *Supervisor) openApp(spec *App) (*app, error) {
	a := &app{spec: spec, pools: map[string]*executor.Pool{}, events: map[string][]*registration{}, gauges: newGauges(spec.Limits)}
	identity, err := policy.LookupIdentity(spec.User, spec.Group, spec.Groups)
	if err != nil {
		return nil, placed(err, "app", spec.Name, "user")
	}
	first, second, err := s.filters.of(spec)
	if err != nil {
		return nil, err
	}
	group, err := s.tree.Group(spec.Name, spec.Limits)
	if err != nil {
		return nil, placed(err, "app", spec.Name, "limits")
	}
	for _, name := range group.Without() {
		s.log.Warn("going on without a limit that this host lacks, as on_missing says", "app", spec.Name, "limit", name)
	}
	booster, err := executor.OpenBooster(spec.Boost)
	if err != nil {
		return nil, errors.Join(placed(err, "app", spec.Name, "boost"), group.Remove())
	}
	lane, err := s.openLane(spec)
	if err != nil {
		return nil, errors.Join(err, group.Remove())
	}
	a.work = &executor.Workplace{
		App: spec.Name, Account: executor.Account{Identity: identity, Own: spec.User == "" && spec.Group == "" && spec.Groups == nil},
		Filter: first, Group: group, Limited: spec.Limits.NeedsCgroup(), Places: &executor.Places{Used: &a.gauges.processes.Gauge}, Census: s.census, Booster: booster,
		Lane: lane, Loop: s, Poller: s.poller, Alarms: &s.alarms,
		Copier: &copier{s: s}, Scribe: s.scribe, Null: int(s.null.Fd()), Log: s.log,
		Publish: s.publishOnLoop(spec), Admit: s.admit(spec, identity), Denied: s.denials.name, Functions: s.options.Functions,
	}
	if recorded(spec.Seccomp) || recorded(spec.SeccompReady) {
		if a.unseen = s.witness(a, lane, identity.UID); a.unseen != nil && s.options.Observer != nil {
			return a, placed(a.unseen, "app", spec.Name, "policy.seccomp")
		}
	}
	if second != nil {
		if a.work.Second, err = executor.NewSecondFilter(second, first != nil); err != nil {
			return a, placed(err, "app", spec.Name, "policy.seccomp_ready")
		}
	}
	return a, s.confine(a)
}

// admit has the control server serve processes of an app that are given a connection.
func (s *Supervisor) admit(spec *App, as policy.Identity) func(fd, pidfd, pid int) error {
	if s.socket == nil {
		return nil
	}
	return func(fd, pidfd, pid int) error {
		return s.socket.Admit(fd, pidfd, control.Peer{UID: as.UID, GID: as.GID, PID: int32(pid), App: spec.Name})
	}
}

// enlist has the loop look after an app that was made.
func (s *Supervisor) enlist(a *app) error {
	if a.witnessed {
		s.denials.witnesses[a.session] = &witness{denials: s.denials, app: a.spec.Name, seen: map[string]bool{}}
	}
	if a.work.Cell != nil {
		s.orphans.held = append(s.orphans.held, a.work.Cell)
	}
	return s.watchKernel(a)
}

// openLane starts the app's lane. What its processes never have, each of its threads gives up once.
func (s *Supervisor) openLane(spec *App) (*spawn.Lane, error) {
	told := false
	return s.stage.NewLane(laneQueue(spec), func(m *spawn.Maker) {
		if err := m.DropBounding(uint64(spec.Confinement.Capabilities)); err != nil && os.Geteuid() == 0 && !told {
			told = true
			s.log.Warn("each process drops its bounding set itself", "app", spec.Name, "err", err)
		}
	})
}

// laneQueue is how much may wait for an app's lane: every process that may be made at once, a look at each that is ready,
// and the cleaning of every slot.
func laneQueue(spec *App) int {
	n := 16
	for i := range spec.Handlers {
		h := &spec.Handlers[i]
		n += 3 * (h.Ahead() + h.Concurrency)
	}
	return n
}

// openPools makes the pools of the app's handlers.
func (s *Supervisor) openPools(a *app) error {
	var errs []error
	for i := range a.spec.Handlers {
		p, err := s.openPool(a, &a.spec.Handlers[i])
		if errs = append(errs, err); p != nil {
			s.addPool(a, p)
		}
	}
	return errors.Join(errs...)
}

// openPool makes the pool of one handler, which nobody uses yet. With an error there is none.
func (s *Supervisor) openPool(a *app, h *executor.Spec) (*executor.Pool, error) {
	if h.Handover == executor.Direct && h.Copy != executor.SharedCopy && !a.probed {
		a.probed = true // it is told once
		if err := a.work.ProbeDirect(); err != nil {
			return nil, placed(err, "app", a.spec.Name, "handler", h.Name, "handover")
		}
	}
	if h.Control && a.work.Admit == nil {
		return nil, placed(errors.New("there is no control socket: the supervisor has no runtime directory"), "app", a.spec.Name, "handler", h.Name, "control")
	}
	if err := s.checkLeftovers(a, h); err != nil {
		return nil, placed(err, "app", a.spec.Name, "handler", h.Name, "leftover")
	}
	p, err := a.work.Open(*h, a.spec.Limits.Activations)
	if err != nil {
		return nil, placed(err, "app", a.spec.Name, "handler", h.Name)
	}
	return p, nil
}

// addPool has the jobs of a handler use its pool.
func (s *Supervisor) addPool(a *app, p *executor.Pool) {
	p.Enlist()
	a.pools[p.Spec().Name] = p
	s.pools = append(s.pools, p)
	s.owners[p] = a
}

// checkLeftovers refuses to promise that what a zygote's child leaves behind is killed, where only the cgroup that it
// shares with the others could be.
func (s *Supervisor) checkLeftovers(a *app, h *executor.Spec) error {
	if h.Life != executor.Zygote || h.Leftover != executor.KillLeftover {
		return nil
	}
	err := sys.SignalsGroups()
	if err == nil {
		return nil
	}
	if h.LeftoverSet && !slices.Contains(a.spec.Limits.OnMissing, "kill") {
		return fmt.Errorf("leftover \"kill\" of a zygote's children needs Linux 6.9: %w (limits.on_missing: kill)", err)
	}
	s.log.Warn("what a zygote's child leaves behind is killed with the zygote: before that needs Linux 6.9",
		"app", a.spec.Name, "handler", h.Name)
	return nil
}

// register makes the jobs of the app's events.
func (s *Supervisor) register(a *app) error {
	for i := range a.spec.Events {
		spec := &a.spec.Events[i]
		regs, err := s.declare(a, spec)
		if err == nil {
			err = source.CheckPlace(spec.Source)
		}
		if err != nil {
			return placed(err, "app", a.spec.Name, "event", spec.Name)
		}
		for _, reg := range regs {
			reg.lasting = true
			if _, err := s.addJob(reg, spec.Source); err != nil {
				return placed(err, "app", a.spec.Name, "event", spec.Name)
			}
		}
	}
	return nil
}

// registration is what the app's options have for an event and a handler, nil for nothing.
func (a *app) registration(event, handler string) *registration {
	for _, reg := range a.events[event] {
		if reg.handler == handler && reg.lasting {
			return reg
		}
	}
	return nil
}

// declare makes the registrations of an event, one for each of its handlers, without jobs.
func (s *Supervisor) declare(a *app, spec *Registration) ([]*registration, error) {
	var regs []*registration
	for _, handler := range spec.Handlers {
		pool, ok := a.pools[handler]
		if !ok {
			return nil, placed(fmt.Errorf("no handler %q", handler), "app", a.spec.Name, "event", spec.Name, "handler")
		}
		reg, err := s.newRegistration(a, spec, pool)
		if err == nil {
			err = a.roomForJobs([]*registration{reg}, 1)
		}
		if err != nil {
			return nil, err
		}
		regs = append(regs, reg)
	}
	for _, reg := range regs {
		s.jobs.declare(reg)
	}
	a.events[spec.Name] = regs
	return regs, nil
}

// newRegistration makes the registration of an event for the handler of a pool, which is not declared yet.
func (s *Supervisor) newRegistration(a *app, spec *Registration, pool *executor.Pool) (*registration, error) {
	src, err := s.source(spec.Source.Type())
	if err != nil {
		return nil, placed(err, "app", a.spec.Name, "event", spec.Name, "type")
	}
	row, _ := source.TypeNamed(spec.Source.Type())
	if spec.Arrivals == MergeArrival && row.Merge == nil {
		return nil, placed(fmt.Errorf("events of type %s cannot be merged", row.Name), "app", a.spec.Name, "event", spec.Name, "arrivals")
	}
	if err := a.allows(spec, pool.Spec()); err != nil {
		return nil, err
	}
	meant, err := compileFilter(spec.Filter, spec.Source.Type())
	if err != nil {
		return nil, placed(err, "app", a.spec.Name, "event", spec.Name, "filter")
	}
	_, asks := src.(source.Asker)
	return &registration{app: a, spec: spec, pool: pool, handler: pool.Spec().Name, source: src, asks: asks,
		counted: a.ofActivation(row.Name, pool.Spec().Agent), filter: meant, merge: row.Merge}, nil
}

// addJob makes a job of a registration, for a spec, which its source keeps where it can in less room. There is room for
// the job.
func (s *Supervisor) addJob(reg *registration, spec source.Spec) (aem.JobID, error) {
	for _, g := range reg.app.ofJob(spec.Type(), reg.pool.Spec().Agent) {
		g.Add(1)
	}
	id := s.jobs.add(reg, reg.spec.Priority)
	if !reg.asks {
		reg.app.eager = append(reg.app.eager, id)
	}
	if k, ok := reg.source.(source.Keeper); ok {
		return id, k.Keep(id, spec)
	}
	var err error
	s.specs[id], err = reg.app.ownGroup(spec)
	return id, err
}

// roomForJobs reports the limit that leaves no room for n jobs more of each registration.
func (a *app) roomForJobs(regs []*registration, n int) error {
	for _, reg := range regs {
		for _, g := range a.ofJob(reg.spec.Source.Type(), reg.pool.Spec().Agent) {
			if !g.Room(int64(n * len(regs))) {
				return &limitError{a.spec.Name, g}
			}
		}
	}
	return nil
}

// allows checks a registration against the app's lists.
func (a *app) allows(spec *Registration, h *executor.Spec) error {
	l, typ := a.spec.Limits, spec.Source.Type()
	switch {
	case !l.AllowsType(typ):
		return fmt.Errorf("the app may not register %s (limits.types)", typ)
	case !l.AllowsAgent(string(h.Agent)):
		return fmt.Errorf("the app may not use agent %s (limits.agents)", h.Agent)
	case int(spec.Priority) > l.PriorityMax:
		return fmt.Errorf("priority %d is above the app's %d (limits.priority_max)", spec.Priority, l.PriorityMax)
	}
	err := source.Check(spec.Source)
	if err != nil {
		return err
	}
	own, err := a.ownGroup(spec.Source)
	if err == nil {
		err = source.CheckHost(own)
	}
	return err
}

// ownGroup puts the app's own control group into a spec that asks for it.
func (a *app) ownGroup(spec source.Spec) (source.Spec, error) {
	p, ok := spec.(source.Pressure)
	if !ok || p.Cgroup != source.OwnGroup {
		return spec, nil
	}
	var err error
	p.Cgroup, err = a.work.Group.Unified()
	return p, err
}

// source is the one source of a type, made when first needed.
func (s *Supervisor) source(typ string) (source.Source, error) {
	if src, ok := s.sources[typ]; ok {
		return src, nil
	}
	src, err := source.Open(typ, source.Env{Poller: s.poller, Alarms: &s.alarms, Sink: s, Runs: s.lastRuns, Log: s.log, Post: s.Post, Closes: s.closes})
	if err == nil {
		s.sources[typ] = src
	}
	return src, err
}

func (a *app) close() error {
	if a.work == nil {
		return nil
	}
	a.work.Lane.Close()
	closeAll(a.spent)
	for _, p := range slices.AppendSeq(a.retired, maps.Values(a.pools)) {
		p.Close()
	}
	if a.work.Second != nil {
		a.work.Second.Close() //nolint:errcheck // nothing was written
	}
	return errors.Join(a.work.Cell.Close(), a.removeGroup())
}

// Killed processes take a moment to be gone from their cgroup: the kernel frees their memory first.
const (
	goneWithin = 5 * time.Second
	goneLook   = 2 * time.Millisecond
)

// removeGroup removes the app's cgroup when the last process is gone. One that a handler wants left stays, and the
// cgroup with it.
func (a *app) removeGroup() error {
	for deadline := time.Now().Add(goneWithin); ; time.Sleep(goneLook) {
		err := a.work.Group.Remove()
		switch {
		case err == nil || !errors.Is(err, syscall.EBUSY):
			return err
		case a.leaves():
			return nil
		case time.Now().After(deadline):
			return err
		}
	}
}

// leaves reports whether a handler wants processes left that outlive it.
func (a *app) leaves() bool {
	return slices.ContainsFunc(a.spec.Handlers, func(h executor.Spec) bool { return h.Leftover == executor.LeaveLeftover })
}
