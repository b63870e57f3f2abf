package supervisor

import (
	"fmt"
	"slices"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/internal/timing"
	"github.com/aem-exec/aem-exec/source"
)

// Detected takes an event that a source detected for a job. There is room for it: a job without room is held.
func (s *Supervisor) Detected(id aem.JobID, e *aem.Event) {
	j := s.jobs.get(id)
	if j == nil || !j.started {
		dismiss(e, &aem.Completion{Outcome: aem.Shed, Exit: -1}) // its job was stopped by an event before it in the same batch
		return
	}
	reg := s.jobs.registration(j)
	if e.Lost != 0 {
		s.consultSource(id, "lost", e, "events were lost")
	}
	if f := s.filterOf(j, reg); f != nil && !s.meant(j, reg, f, e) {
		return
	}
	s.activate(j, reg, e)
	if reg.spec.Once || reg.had(j) {
		reg.source.Stop(id)
	}
}

// activate makes the activation of an event for a job and queues it.
func (s *Supervisor) activate(j *job, reg *registration, e *aem.Event) {
	n := uint64(e.Count)
	j.detected += n
	j.last = e.Time.UnixNano()
	if j.started {
		s.watchSilence(j.id, reg, e.Time)
	}
	keeps := reg.spec.Arrivals != EachArrival && reg.spec.Arrivals != ""
	if keeps && reg.pool.Busy() && s.arrive(j, reg, e) {
		return
	}
	if reg.spec.Full == ShedFull && reg.full() != nil {
		s.shed(j, reg, e)
		return
	}
	s.lastSeq++
	activation := s.newActivation(e)
	activation.Job, activation.Name, activation.Priority, activation.Seq = j.id, reg.spec.Name, j.priority, s.lastSeq
	activation.Bytes, activation.Activated = executor.BytesOf(e), timing.At(s.now())
	reg.app.add(reg.counted, activation, 1)
	reg.seated()
	s.note("detected", j.id, reg, e, nil, nil)
	j.waiting += n
	s.queue(reg, activation)
	if keeps {
		s.latest[j.id] = activation
	}
	for _, g := range reg.counted {
		if !g.Room(1) {
			s.holdAtLimit(reg.app, g, e.Type)
		}
	}
}

// queue puts an activation in its pool's queue. The queue has room for all activations that the app may have.
func (s *Supervisor) queue(reg *registration, a *aem.Activation) {
	s.watchOverdue(reg, a)
	if !reg.pool.Push(a) {
		panic("aem: internal error: a queue is smaller than its app's limit")
	}
	s.Wake(reg.pool)
}

// Wake puts a pool on the list of those whose queue may have something to run, and with it those that have its queue.
func (s *Supervisor) Wake(p *executor.Pool) {
	for ; p != nil; p = p.Heir() {
		if !slices.Contains(s.active, p) {
			s.active = append(s.active, p)
		}
	}
}

// dismiss lets go of an event that has its fate: a connection that nobody took is closed, and where it came from is told.
func dismiss(e *aem.Event, c *aem.Completion) {
	if e.FD >= 0 {
		sys.Close(e.FD)
		e.FD = -1
	}
	if e.Origin != nil {
		e.Origin.Ended(e, c)
	}
}

// Started counts an activation as running.
func (s *Supervisor) Started(a *aem.Activation) {
	j := s.jobs.get(a.Job) // there: what waits of a job goes with it
	j.waiting -= uint64(a.Event.Count)
	j.running += uint64(a.Event.Count)
	reg := s.jobs.registration(j)
	a.Timeout = reg.timeout
	if a.Attempt == 1 && a.Interrupted == nil {
		reg.app.waits.add(a.Priority, time.Duration(a.Started-a.Activated))
		s.missed(reg, a, a.Started)
	}
	s.note("started", a.Job, reg, a.Event, a, nil)
	s.turns.moveOn(reg.pool, a.Priority)
	if s.runs(reg.app); isNotice(a.Event.Type) {
		reg.app.kernel.notices++
	}
}

// start arms a job.
func (s *Supervisor) start(id aem.JobID) {
	j := s.jobs.get(id)
	if s.phase >= draining || !j.move(toStart, 0) {
		return
	}
	reg := s.jobs.registration(j)
	if err := reg.source.Start(id, s.specs[id]); err != nil {
		s.retryStart(id, reg, err)
		return
	}
	s.watchSilence(id, reg, time.Now())
	if !reg.asks && reg.spec.Full != ShedFull && reg.limited() {
		s.hold(id, holdLimit)
	} else if staysOpen(reg.source) {
		reg.source.Resume(id)
	}
}

// startWait is how long a job waits whose source could not start, before it tries again.
const startWait = time.Second

// retryStart leaves a job failing whose source cannot start, and never gives up.
func (s *Supervisor) retryStart(id aem.JobID, reg *registration, err error) {
	j := s.jobs.get(id)
	if j.holds&holdSource == 0 {
		s.log.Error("cannot start", "job", reg.name(), "err", err, "retry", startWait)
		s.consultSource(id, "detection", nil, err.Error())
	}
	j.move(toHold, holdSource)
	s.heldNow(j)
	alarm := new(timing.Alarm)
	s.starting[id] = alarm
	s.alarms.After(alarm, startWait, func() {
		delete(s.starting, id)
		j := s.jobs.get(id)
		if j == nil || !j.started {
			return
		}
		if err := reg.source.Start(id, s.specs[id]); err != nil {
			s.retryStart(id, reg, err)
			return
		}
		s.log.Info("started after all", "job", reg.name())
		if j.move(toRelease, holdSource); j.holds != 0 {
			reg.source.Hold(id)
		}
	})
}

// pause disarms a job; what is activated stays so. Sockets stay open: who comes waits in the kernel until the job is started
// again.
func (s *Supervisor) pause(id aem.JobID) {
	j := s.jobs.get(id)
	if !j.started {
		return
	}
	if alarm := s.starting[id]; alarm != nil {
		alarm.Stop()
		delete(s.starting, id)
	}
	s.endSilence(id)
	if src := s.jobs.registration(j).source; staysOpen(src) {
		src.Hold(id)
	} else {
		src.Stop(id)
	}
	j.move(toStop, 0)
}

// stop is pause, and closes the job's sockets: who comes is refused.
func (s *Supervisor) stop(id aem.JobID) {
	s.pause(id)
	if src := s.jobs.registration(s.jobs.get(id)).source; staysOpen(src) {
		src.Stop(id)
	}
}

func staysOpen(src source.Source) bool {
	_, opens := src.(source.Opener)
	return opens
}

// hold keeps a job from taking more, for one more reason. A source that holds itself at the moment is told too, else it
// would go on by itself.
func (s *Supervisor) hold(id aem.JobID, why holds) {
	j := s.jobs.get(id)
	if j == nil {
		return
	}
	before := j.holds
	if !j.move(toHold, why) {
		return
	}
	if before == 0 {
		s.heldNow(j)
	}
	if before&^holdSource == 0 {
		s.jobs.registration(j).source.Hold(id)
	}
}

// heldNow notes since when a job is held.
func (s *Supervisor) heldNow(j *job) { s.jobs.rest(j).heldSince = time.Now().UnixNano() }

// release ends one reason; without any left the job takes more.
func (s *Supervisor) release(id aem.JobID, why holds) {
	j := s.jobs.get(id)
	if j != nil && j.move(toRelease, why) && j.holds&^holdSource == 0 {
		s.jobs.registration(j).source.Resume(id)
	}
}

// Trouble takes what a source reports of a job: detection fails at the moment, or goes on.
func (s *Supervisor) Trouble(id aem.JobID, err error) {
	j := s.jobs.get(id)
	if j == nil {
		return
	}
	switch {
	case err == nil:
		j.move(toRelease, holdSource)
	case j.move(toHold, holdSource): // its source holds itself
		s.heldNow(j)
		if reg := s.jobs.registration(j); reg.told == 0 || time.Duration(timing.Now()-reg.told) >= tellTrouble {
			reg.told = timing.Now()
			s.log.Error("detection fails", "job", reg.name(), "err", err)
			s.consultSource(id, "detection", nil, err.Error())
		}
	}
}

// tellTrouble is how long a job's trouble is not told again: a source tries again several times a second.
const tellTrouble = 10 * time.Second

// publish detects an event for every subscriber of a topic. It refuses, before anything is detected, when one of them
// is at a limit and does not shed.
func (s *Supervisor) publish(topic string, data []byte) (*aem.Event, []aem.JobID, error) {
	if s.phase != running {
		return nil, nil, errStopping
	}
	subscribers := s.topics.Subscribers(topic)
	for _, id := range subscribers {
		a := s.jobs.registration(s.jobs.get(id)).app
		if limit := a.spec.Limits.QueueBytes; int64(len(data)) > limit {
			return nil, nil, fmt.Errorf("publish %s: %d bytes are more than app %s may queue (%d)", topic, len(data), a.spec.Name, limit)
		}
	}
	defer s.unreserve(subscribers)
	if err := s.reserve(subscribers, func(r *registration) bool { return r.spec.Full != ShedFull }); err != nil {
		return nil, nil, fmt.Errorf("publish %s: %w", topic, err)
	}
	return s.topics.Publish(topic, data), subscribers, nil
}

// publishOnLoop is publish for the app's own callbacks.
func (s *Supervisor) publishOnLoop(*App) func(topic string, data []byte) error {
	return func(topic string, data []byte) error {
		_, _, err := s.publish(topic, data)
		return err
	}
}
