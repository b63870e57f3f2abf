package supervisor

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/timing"
	"github.com/aem-exec/aem-exec/source"
)

var errStopping = errors.New("the supervisor is stopping")

// Completed takes an activation back whose attempt has ended: it is done or failed, or gets another attempt, or its
// place in the queue back.
func (s *Supervisor) Completed(p *executor.Pool, a *aem.Activation, c *aem.Completion) {
	s.Wake(p) // an agent is free
	if isNotice(a.Event.Type) {
		app := s.owners[p]
		s.look(app) // what it did is counted before it is not there any more
		app.kernel.notices--
	}
	if c.Outcome != aem.Returned && c.Reason != aem.ReasonSpawn && c.Reason != aem.ReasonHello {
		s.AgentReady(p)
	}
	j := s.jobs.get(a.Job)
	if j == nil {
		s.completeRemoved(p, a, c)
		return
	}
	n := uint64(a.Event.Count)
	j.running -= n
	reg := s.jobs.registration(j)
	if s.destruct(p, j, reg, a, c) {
		return
	}
	again := c.Outcome == aem.Retry && int(a.Attempt) <= p.Spec().Retries
	switch {
	case s.phase >= draining && (again || c.Outcome == aem.Returned):
		c.Outcome, c.Reason = aem.Failed, aem.ReasonStopped
	case c.Outcome == aem.Returned:
		s.note("returned", a.Job, reg, a.Event, a, c)
		j.waiting += n
		a.Started = 0
		s.watchOverdue(reg, a)
		p.Return(a)
		return
	case c.Unfit && !isNotice(a.Event.Type):
		j.waiting += n
		s.consultUnfit(reg, a, *c)
		return
	case again:
		wait := c.Delay
		if wait == 0 {
			wait = p.Spec().Backoff.Next(int(a.Attempt))
		}
		s.report(reg, a, c, p.Spec(), wait)
		s.note("retry", a.Job, reg, a.Event, a, c)
		j.waiting += n
		s.retryLater(reg, a, wait)
		return
	case c.Outcome == aem.Retry:
		c.Outcome = aem.Failed
	}
	s.end(j, reg, a, c)
}

// retryLater queues an activation again after a while, at the tail of its priority.
func (s *Supervisor) retryLater(reg *registration, a *aem.Activation, wait time.Duration) {
	s.watchOverdue(reg, a)
	alarm := new(timing.Alarm)
	s.retries[a] = alarm
	s.alarms.After(alarm, wait, func() {
		delete(s.retries, a)
		s.lastSeq++
		a.Seq, a.Started = s.lastSeq, 0
		s.queue(reg, a)
	})
}

// end gives an activation its fate.
func (s *Supervisor) end(j *job, reg *registration, a *aem.Activation, c *aem.Completion) {
	n := uint64(a.Event.Count)
	switch c.Outcome {
	case aem.Done:
		j.done += n
	case aem.Failed:
		s.jobs.rest(j).failed += n
		text := s.report(reg, a, c, reg.pool.Spec(), 0)
		s.dead.add(reg, a, c, text, source.BringsSocket(a.Event.Type))
		s.notifyFailed(reg, a, c, text)
	case aem.Expired:
		s.jobs.rest(j).expired += n
	case aem.Shed:
		s.jobs.rest(j).shed += n
	}
	if reg.spec.Once || reg.had(j) {
		s.endJob(j, reg)
	}
	s.note(c.Outcome.String(), j.id, reg, a.Event, a, c)
	s.tell(a.Event.ID, c, reg.name)
	s.tellJoined(a, c, reg.name)
	s.leave(reg.app, reg.counted, a, c)
}

// had reports whether a job has had all that it is to have.
func (r *registration) had(j *job) bool { return r.spec.Most > 0 && j.detected >= r.spec.Most }

// endJob ends a job that has had all: one that counts, when everything has its fate.
func (s *Supervisor) endJob(j *job, reg *registration) {
	if reg.had(j) && j.waiting+j.running > 0 {
		return
	}
	s.stop(j.id)
	j.move(toEnd, 0)
	if f := s.options.Ended; f != nil {
		f(nil)
	}
}

// leave takes an activation out of its app's counts, and ends it. What its event came from may detect the next one.
func (s *Supervisor) leave(app *app, counted []*gauge, a *aem.Activation, c *aem.Completion) {
	app.add(counted, a, -1)
	dismiss(a.Event, c)
	s.recycle(a)
	s.releaseAtLimit(app, counted)
}

// completeRemoved ends an activation whose job was removed while it ran: its job's books are in the app's.
func (s *Supervisor) completeRemoved(p *executor.Pool, a *aem.Activation, c *aem.Completion) {
	app := s.owners[p]
	n := uint64(a.Event.Count)
	app.removed.Running -= n
	if c.Outcome == aem.Done {
		app.removed.Done += n
	} else {
		app.removed.Shed += n
		*c = *removedCompletion()
	}
	name := func() string { return app.spec.Name + "/" + a.Name + ":" + p.Spec().Name }
	s.tell(a.Event.ID, c, name)
	s.tellJoined(a, c, name)
	s.leave(app, app.ofActivation(a.Event.Type, p.Spec().Agent), a, c)
}

// failWaiting gives up what waits, at the end.
func (s *Supervisor) failWaiting() {
	stopped := &aem.Completion{Outcome: aem.Failed, Reason: aem.ReasonStopped, Exit: -1}
	for a, alarm := range s.retries {
		alarm.Stop()
		delete(s.retries, a)
		s.giveUp(a, stopped)
	}
	for _, p := range s.pools {
		p.Remove(func(*aem.Activation) bool { return true }, func(a *aem.Activation) { s.giveUp(a, stopped) })
	}
}

// giveUp ends an activation that waits.
func (s *Supervisor) giveUp(a *aem.Activation, c *aem.Completion) {
	j := s.jobs.get(a.Job)
	j.waiting -= uint64(a.Event.Count)
	s.end(j, s.jobs.registration(j), a, c)
}

// remove ends a job for good. What waits of it is shed, what runs may finish.
func (s *Supervisor) remove(id aem.JobID) {
	s.stop(id)
	j := s.jobs.get(id)
	reg := s.jobs.registration(j)
	s.shedWaiting([]*job{j}, removedCompletion())
	r, c := &reg.app.removed, s.jobs.counts(j)
	r.Detected, r.Done, r.Failed = r.Detected+c.Detected, r.Done+c.Done, r.Failed+c.Failed
	r.Expired, r.Shed, r.Running = r.Expired+c.Expired, r.Shed+c.Shed, r.Running+c.Running
	for _, g := range reg.app.ofJob(reg.spec.Source.Type(), reg.pool.Spec().Agent) {
		g.Add(-1)
		g.Clear()
	}
	s.forgetJob(id, reg)
}

// forgetJob takes a job off every list.
func (s *Supervisor) forgetJob(id aem.JobID, reg *registration) {
	a := reg.app
	if i := slices.Index(a.eager, id); i >= 0 {
		a.eager = slices.Delete(a.eager, i, i+1)
	}
	if k, ok := reg.source.(source.Keeper); ok {
		k.Forget(id)
	}
	delete(s.specs, id)
	delete(s.latest, id)
	delete(s.parents, id)
	delete(s.narrowed, id)
	s.jobs.remove(id)
	if reg.by != nil {
		reg.by.forget(s, reg)
		return
	}
	s.undeclare(a, reg.spec.Name)
}

// undeclare forgets an event's registrations that have no jobs.
func (s *Supervisor) undeclare(a *app, event string) {
	regs := slices.DeleteFunc(a.events[event], func(reg *registration) bool {
		if reg.jobs > 0 {
			return false
		}
		s.jobs.undeclare(reg)
		return true
	})
	if a.events[event] = regs; len(regs) == 0 {
		delete(a.events, event)
	}
}

// failures are the last failed completions of a job, as `ctl lookup` shows them.
type failures []string

// keptFailures is how many of them are kept.
const keptFailures = 8

func (f *failures) add(text string) {
	if len(*f) == keptFailures {
		*f = slices.Delete(*f, 0, 1)
	}
	*f = append(*f, text)
}

// report logs a failed attempt, in one form everywhere, and returns it. A wait of 0 means that there is no other.
func (s *Supervisor) report(reg *registration, a *aem.Activation, c *aem.Completion, h *executor.Spec, wait time.Duration) string {
	attrs := []slog.Attr{
		slog.String("app", reg.app.spec.Name), slog.String("event", reg.spec.Name), slog.String("handler", reg.handler),
		slog.String("id", a.Event.ID.String()),
		slog.String("attempt", strconv.Itoa(int(a.Attempt))+"/"+strconv.Itoa(h.Retries+1)),
		slog.String("reason", string(c.Reason)),
	}
	text := func(name, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(name, value))
		}
	}
	if c.Exit >= 0 {
		attrs = append(attrs, slog.Int("exit", c.Exit))
	}
	text("signal", c.Signal)
	text("syscall", c.Syscall)
	attrs = append(attrs, slog.Duration("after", c.After.Round(time.Microsecond)))
	if wait > 0 {
		attrs = append(attrs, slog.String("retry", "in "+wait.Round(time.Millisecond).String()))
	} else {
		attrs = append(attrs, slog.String("retry", "no"))
	}
	text("err", c.Err)
	text("stderr", c.Stderr)
	s.log.LogAttrs(context.Background(), slog.LevelWarn, "failed", attrs...)
	line := asText(attrs)
	reg.failure.add(line)
	s.notifyDied(reg, a, c, h, line)
	return line
}

// asText is a record as the log's text form has it.
func asText(attrs []slog.Attr) string {
	var b strings.Builder
	b.WriteString("failed")
	for _, a := range attrs {
		value := a.Value.String()
		if strings.ContainsAny(value, " \"\n\t=") {
			value = strconv.Quote(value)
		}
		b.WriteString(" " + a.Key + "=" + value)
	}
	return b.String()
}

// AgentTrouble takes what a pool reports: its agents cannot be made at the moment, or again. Without any left its jobs
// take no more, so that their clients wait where they can be seen: in the kernel.
func (s *Supervisor) AgentTrouble(p *executor.Pool, err error, down bool) {
	app := s.owners[p]
	if err != nil {
		s.log.Error("no agent", "app", app.spec.Name, "handler", p.Spec().Name, "err", err)
		s.notifyAgents(p, err)
		s.runs(app)
		if f := s.options.Ended; f != nil {
			f(err)
		}
	} else {
		s.Wake(p)
	}
	for _, id := range app.eager {
		if s.jobs.registration(s.jobs.get(id)).pool != p {
			continue
		}
		if err == nil {
			s.release(id, holdAgents)
		} else if down {
			s.hold(id, holdAgents)
		}
	}
	s.poolDown(p, err == nil, down)
}

// AgentReady takes what a pool reports: an agent is there.
func (s *Supervisor) AgentReady(p *executor.Pool) { s.notifyAgents(p, nil) }
