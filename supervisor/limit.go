package supervisor

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/internal/timing"
	"github.com/aem-exec/aem-exec/limits"
)

// gauge is one of an app's limits while the app lives. The app's activations and bytes, and each part of them that has a
// limit of its own, hold the jobs that count for it when they are reached.
type gauge struct {
	limits.Gauge
	value string        // what it is set to, where the kernel counts; what is used at it is as much
	seen  int64         // what the kernel had counted when it was looked at
	errno syscall.Errno // what is refused at it is refused with this
	asked int64         // of several that are to be activated together, those that are not yet
	quiet timing.Alarm  // set for a while after it was told
	again bool          // it was reached in that while
}

// quietTime is how long a limit that was told is not told again. What was reached meanwhile is told at its end.
const quietTime = 10 * time.Second

// gauges are the limits of an app that the supervisor counts.
type gauges struct {
	jobs, activations, bytes, processes gauge
	jobsOf, activationsOf               []gauge // in the order of the app's limits
}

func newGauges(l limits.Limits) gauges {
	g := gauges{
		jobs:        gauge{Gauge: limits.Count("jobs", l.Jobs), errno: syscall.EDQUOT},
		activations: gauge{Gauge: limits.Count("activations", l.Activations), errno: syscall.EAGAIN},
		bytes:       gauge{Gauge: limits.Bytes("queue_bytes", l.QueueBytes), errno: syscall.EAGAIN},
		processes:   gauge{Gauge: limits.Count("processes", l.Processes), errno: syscall.EAGAIN},
	}
	for _, of := range l.JobsOf {
		g.jobsOf = append(g.jobsOf, gauge{Gauge: limits.Count("jobs_of."+quoted(of.What), of.Most), errno: syscall.EDQUOT})
	}
	for _, of := range l.ActivationsOf {
		g.activationsOf = append(g.activationsOf, gauge{Gauge: limits.Count("activations_of."+quoted(of.What), of.Most), errno: syscall.EAGAIN})
	}
	return g
}

// set gives each of them another number.
func (g *gauges) set(l limits.Limits) {
	fresh := newGauges(l)
	for i, of := range fresh.all() {
		g.all()[i].Most = of.Most
	}
}

// relimited has an app go on by other numbers.
func (s *Supervisor) relimited(a *app) {
	a.kernel.value(a.spec.Limits)
	for _, p := range a.pools {
		p.Widen(a.spec.Limits.Activations)
		s.Wake(p)
	}
	for _, g := range a.gauges.all() {
		switch {
		case g.Most == 0: // there may be any number of processes now
			g.Clear()
		case !g.Room(1) && g != &a.gauges.jobs && g != &a.gauges.processes:
			s.holdAtLimit(a, g, "")
		default:
			s.releaseAtLimit(a, []*gauge{g})
		}
	}
}

// quoted is a key as TOML wants it behind a dot.
func quoted(key string) string {
	if strings.ContainsAny(key, ".*?[]\\^") {
		return strconv.Quote(key)
	}
	return key
}

// all are the gauges in the order in which they are shown.
func (g *gauges) all() []*gauge {
	all := []*gauge{&g.jobs}
	for i := range g.jobsOf {
		all = append(all, &g.jobsOf[i])
	}
	all = append(all, &g.activations)
	for i := range g.activationsOf {
		all = append(all, &g.activationsOf[i])
	}
	return append(all, &g.bytes, &g.processes)
}

// ofJob are those that a job of an event type with a handler on an agent counts for.
func (a *app) ofJob(typ string, agent executor.AgentKind) []*gauge {
	return append([]*gauge{&a.gauges.jobs}, parts(a.gauges.jobsOf, a.spec.Limits.JobsOf, typ, agent)...)
}

// ofActivation are those that its activations count for.
func (a *app) ofActivation(typ string, agent executor.AgentKind) []*gauge {
	return append([]*gauge{&a.gauges.activations, &a.gauges.bytes}, parts(a.gauges.activationsOf, a.spec.Limits.ActivationsOf, typ, agent)...)
}

func parts(of []gauge, specs []limits.Of, typ string, agent executor.AgentKind) (found []*gauge) {
	for i, spec := range specs {
		if spec.Counts(typ, string(agent)) {
			found = append(found, &of[i])
		}
	}
	return found
}

// add counts an activation, or with a sign of -1 one less.
func (a *app) add(counted []*gauge, activation *aem.Activation, sign int64) {
	for _, g := range counted {
		if g == &a.gauges.bytes {
			g.Add(sign * activation.Bytes)
		} else {
			g.Add(sign)
		}
	}
}

// full is the first of a job's limits that leaves no room for another activation beside those that room was found for,
// nil when there is room.
func (r *registration) full() *gauge {
	for _, g := range r.counted {
		if !g.Room(1 + g.asked) {
			return g
		}
	}
	return nil
}

// limitError says that an app is at one of its limits.
type limitError struct {
	app string
	*gauge
}

func (e *limitError) Error() string {
	return fmt.Sprintf("app %s is at its limit: %s = %d", e.app, e.Name, e.Most)
}

// Is makes errors.Is find the errno, and what a publisher is told.
func (e *limitError) Is(target error) bool {
	return target == e.errno || target == executor.ErrFull && e.errno == syscall.EAGAIN
}

// roomFor reports the first limit that leaves no room for one activation more of each of the jobs that pass, all
// together.
func (s *Supervisor) roomFor(jobs []aem.JobID, counts func(*registration) bool) error {
	err := s.reserve(jobs, counts)
	s.unreserve(jobs)
	return err
}

// reserve is roomFor, and keeps that room from jobs that shed until unreserve: those would be activated first, and leave
// none to the others.
func (s *Supervisor) reserve(jobs []aem.JobID, counts func(*registration) bool) (full error) {
	for _, id := range jobs {
		r := s.jobs.registration(s.jobs.get(id))
		if !counts(r) {
			continue
		}
		for _, g := range r.counted {
			if g.asked++; full == nil && !g.Room(g.asked) {
				full = &limitError{r.app.spec.Name, g}
			}
		}
	}
	return full
}

// seated notes that an activation has the room that was reserved for it, if any was.
func (r *registration) seated() {
	for _, g := range r.counted {
		if g.asked > 0 && r.spec.Full != ShedFull {
			g.asked--
		}
	}
}

func (s *Supervisor) unreserve(jobs []aem.JobID) {
	for _, id := range jobs {
		if j := s.jobs.get(id); j != nil { // an event may end a job
			for _, g := range s.jobs.registration(j).counted {
				g.asked = 0
			}
		}
	}
}

// holdAtLimit holds the jobs that count for a limit without room. Jobs whose file says so are not held: what they
// detect meanwhile is shed.
func (s *Supervisor) holdAtLimit(a *app, g *gauge, cause string) {
	if !s.reached(a, g, cause) {
		return
	}
	for _, id := range a.eager {
		j := s.jobs.get(id)
		if j == nil { // not registered any more
			continue
		}
		if reg := s.jobs.registration(j); reg.spec.Full != ShedFull && slices.Contains(reg.counted, g) {
			s.hold(id, holdLimit)
		}
	}
}

// releaseAtLimit ends the holds of limits that have room again, of those that an activation counted for.
func (s *Supervisor) releaseAtLimit(a *app, counted []*gauge) {
	for _, g := range counted {
		if !g.Relax() {
			continue
		}
		for _, id := range a.eager {
			if j := s.jobs.get(id); j != nil && !s.jobs.registration(j).limited() {
				s.release(id, holdLimit)
			}
		}
	}
}

// limited reports whether one of the job's limits is reached.
func (r *registration) limited() bool {
	return slices.ContainsFunc(r.counted, func(g *gauge) bool { return !g.Since.IsZero() })
}

// reached notes that a limit is reached, by an activation of a type of event, and tells of it. It reports false while
// that is so already.
func (s *Supervisor) reached(a *app, g *gauge, cause string) bool {
	if !g.Reach(time.Now()) {
		return false
	}
	switch {
	case isNotice(cause): // counted: what is told must not be what makes it be told
	case g.quiet.Set():
		g.again = true
	default:
		s.tellLimit(a, g)
	}
	return true
}

// refused tells of a limit that jobs were refused for. It is over when there is room for one again.
func (s *Supervisor) refused(a *app, err error) {
	if limit := (*limitError)(nil); errors.As(err, &limit) {
		s.reached(a, limit.gauge, "")
	}
}

// Reached takes what a pool reports: an activation of a type of event finds the app at a limit.
func (s *Supervisor) Reached(p *executor.Pool, limit, typ string) {
	a := s.owners[p]
	g := a.gauge(limit)
	if g == nil {
		return // the host lacks it, and the app goes on without
	}
	if s.reached(a, g, typ); g.value != "" {
		s.lookLater(a) // which ends it
	}
}

// gauge is the app's limit of that name, nil without one.
func (a *app) gauge(name string) *gauge {
	for _, g := range slices.Concat(a.kernel.gauges, a.gauges.all()) {
		if g.Name == name {
			return g
		}
	}
	return nil
}

// tellLimit tells of a limit that was reached.
func (s *Supervisor) tellLimit(a *app, g *gauge) {
	g.again = false
	s.alarms.After(&g.quiet, quietTime, func() {
		if g.again {
			s.tellLimit(a, g)
		}
	})
	value, used := g.value, g.value
	if value == "" {
		value, used = itoa(g.Most), itoa(g.Used)
	}
	s.log.Info("limit reached", "app", a.spec.Name, "limit", g.Name, "value", value, "reached", g.Reached)
	s.notify("supervisor.limit", a, nil, text("limit", g.Name), text("value", value), text("used", used),
		aem.NumberFact("reached", int64(g.Reached)), text("errno", sys.ErrnoName(g.errno)))
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
