package supervisor

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/source"
)

// answers are the meanings of the control protocol's operations. They run on the goroutines of the clients'
// connections and reach the loop by ask.
var answers = map[control.Op]func(s *Supervisor, ctx context.Context, peer control.Peer, req control.Request) control.Reply{
	control.OpVersion:    (*Supervisor).answerVersion,
	control.OpList:       (*Supervisor).answerList,
	control.OpLookup:     (*Supervisor).answerLookup,
	control.OpStart:      (*Supervisor).answerStart,
	control.OpStop:       (*Supervisor).answerStop,
	control.OpFire:       (*Supervisor).answerFire,
	control.OpRemove:     (*Supervisor).answerRemove,
	control.OpEmit:       (*Supervisor).answerEmit,
	control.OpDeadList:   (*Supervisor).answerDeadList,
	control.OpDeadShow:   (*Supervisor).answerDeadShow,
	control.OpDeadReplay: (*Supervisor).answerDeadReplay,
	control.OpDeadDrop:   (*Supervisor).answerDeadDrop,
	control.OpWatch:      (*Supervisor).answerWatch,
	control.OpPriority:   (*Supervisor).answerPriority,
	control.OpFilter:     (*Supervisor).answerFilter,
	control.OpTimeout:    (*Supervisor).answerTimeout,
	control.OpClean:      (*Supervisor).answerClean,
	control.OpUsage:      (*Supervisor).answerUsage,
	control.OpAttach:     (*Supervisor).answerAttach,
	control.OpRegister:   (*Supervisor).answerRegister,
	control.OpReload:     (*Supervisor).answerReload,
}

func (s *Supervisor) answer(ctx context.Context, peer control.Peer, req control.Request) control.Reply {
	answer, ok := answers[req.Op]
	if !ok {
		return control.Refuse(syscall.ENOSYS, "%v: not supported yet", req.Op)
	}
	return answer(s, ctx, peer, req)
}

// may reports whether a peer may act on an app: a handler process on its own, uid 0 and the supervisor's own on all, others
// on the apps that run as them.
func (s *Supervisor) may(peer control.Peer, a *app) bool {
	if peer.App != "" {
		return peer.App == a.spec.Name
	}
	return trusted(peer) || peer.UID == a.work.Account.UID
}

// trusted reports whether a peer may do all that the supervisor may.
func trusted(peer control.Peer) bool {
	return peer.App == "" && (peer.UID == 0 || int(peer.UID) == os.Geteuid())
}

// selected are the jobs that a request means and its peer may act on. Naming a job that is not there is refused: a
// slip would pass for success. It runs on the loop.
func (s *Supervisor) selected(peer control.Peer, req control.Request) ([]*job, error) {
	var jobs []*job
	switch {
	case req.Own:
		return s.ownJobs(peer, req)
	case identifies(req):
		return s.identified(peer, req)
	}
	found := make([]bool, len(req.Selectors))
	for id := range s.jobs.all() {
		j := s.jobs.get(id)
		reg := s.jobs.registration(j)
		if !s.may(peer, reg.app) {
			continue
		}
		meant := req.All || len(req.Selectors) == 0
		for i, sel := range req.Selectors {
			if sel.Match(id, reg.app.spec.Name, reg.spec.Name, reg.handler) {
				meant, found[i] = true, true
			}
		}
		if meant {
			jobs = append(jobs, j)
		}
	}
	if i := slices.Index(found, false); i >= 0 {
		return nil, control.Errorf(syscall.ENOENT, "%v: no such job: %v", req.Op, req.Selectors[i])
	}
	return jobs, nil
}

// identifies reports whether a request names its jobs by their ids alone.
func identifies(req control.Request) bool {
	return len(req.Selectors) > 0 && !slices.ContainsFunc(req.Selectors, func(sel control.Selector) bool { return sel.ID == 0 })
}

// ownJobs are those that the peer's program has registered.
func (s *Supervisor) ownJobs(peer control.Peer, req control.Request) (jobs []*job, err error) {
	at, err := attachedBy(req.Op, peer)
	if err != nil {
		return nil, err
	}
	for _, id := range at.jobs {
		if j := s.jobs.get(id); j != nil {
			jobs = append(jobs, j)
		}
	}
	return jobs, nil
}

// identified is selected for requests that name ids only: many of them, perhaps, of many more.
func (s *Supervisor) identified(peer control.Peer, req control.Request) ([]*job, error) {
	jobs := make([]*job, 0, len(req.Selectors))
	named := map[aem.JobID]bool{}
	for _, sel := range req.Selectors {
		j := s.jobs.get(sel.ID)
		if j == nil || !s.may(peer, s.jobs.registration(j).app) {
			return nil, control.Errorf(syscall.ENOENT, "%v: no such job: %v", req.Op, sel)
		}
		if named[sel.ID] {
			continue
		}
		named[sel.ID] = true
		jobs = append(jobs, j)
	}
	return jobs, nil
}

// withJobs has f done on the loop for the jobs that a request means, and makes a reply of what it returns.
func (s *Supervisor) withJobs(peer control.Peer, req control.Request, f func(jobs []*job) any) control.Reply {
	reply := control.Refuse(syscall.ESHUTDOWN, "%v: %v", req.Op, errStopping)
	s.ask(func() {
		jobs, err := s.selected(peer, req)
		if err != nil {
			reply = refusal(req.Op, err)
			return
		}
		reply = control.Done(f(jobs))
	})
	return reply
}

func refusal(op control.Op, err error) control.Reply {
	var refused *control.Error
	var limit *limitError
	switch {
	case errors.As(err, &refused):
		return control.Reply{Errno: refused.Errno, Error: refused.Text}
	case errors.As(err, &limit):
		return control.Refuse(limit.errno, "%v: %v", op, err)
	case errors.Is(err, errStopping):
		return control.Refuse(syscall.ESHUTDOWN, "%v: %v", op, err)
	}
	return control.Refuse(syscall.EINVAL, "%v: %v", op, err)
}

func (s *Supervisor) answerVersion(context.Context, control.Peer, control.Request) control.Reply {
	return control.Done(control.About{Version: s.options.Version, Protocol: control.Version, PID: os.Getpid(), Started: s.started})
}

func (s *Supervisor) answerList(_ context.Context, peer control.Peer, req control.Request) control.Reply {
	return s.withJobs(peer, req, func(jobs []*job) any {
		list := make([]aem.JobStatus, len(jobs))
		for i, j := range jobs {
			list[i] = s.status(j)
		}
		return list
	})
}

func (s *Supervisor) answerLookup(_ context.Context, peer control.Peer, req control.Request) control.Reply {
	return s.withJobs(peer, req, func(jobs []*job) any {
		list := make([]control.Lookup, len(jobs))
		for i, j := range jobs {
			reg := s.jobs.registration(j)
			list[i] = control.Lookup{JobStatus: s.status(j), Arena: reg.pool.Arena(), NextRuns: nextRuns(j.id, reg.source),
				Filter: s.filterOf(j, reg).String(), Filtered: s.jobs.look(j).filtered, Missed: s.jobs.look(j).missed, Parent: s.parents[j.id], Failures: slices.Clone(reg.failure)}
		}
		return list
	})
}

// shownRuns is how many of a timer's next times are shown.
const shownRuns = 3

// nextRuns is when a timer's next events are due.
func nextRuns(id aem.JobID, src source.Source) []time.Time {
	timers, ok := src.(interface {
		Upcoming(id aem.JobID, n int) []time.Time
	})
	if !ok {
		return []time.Time{}
	}
	return append([]time.Time{}, timers.Upcoming(id, shownRuns)...)
}

// nextDue is when its next event is.
func nextDue(id aem.JobID, src source.Source) *time.Time {
	timers, ok := src.(interface {
		Next(aem.JobID) (time.Time, bool)
	})
	if !ok {
		return nil
	}
	at, ok := timers.Next(id)
	if !ok {
		return nil
	}
	return &at
}

// status is a snapshot of a job.
func (s *Supervisor) status(j *job) aem.JobStatus {
	reg := s.jobs.registration(j)
	h := reg.pool.Spec()
	st := aem.JobStatus{
		ID: j.id, App: reg.app.spec.Name, Event: reg.spec.Name, Handler: reg.handler, Type: reg.spec.Source.Type(),
		State: s.state(j, reg), Agent: string(h.Agent), Priority: j.priority, Counts: s.jobs.counts(j),
	}
	if h.Agent == executor.Process {
		life := string(h.Life)
		st.Life = &life
	}
	if j.last != 0 {
		last := time.Unix(0, j.last)
		st.Last = &last
	}
	if j.started {
		st.Next = nextDue(j.id, reg.source)
	}
	if j.holds != 0 {
		st.Hold = &aem.Hold{Reason: j.holds.String(), Since: time.Unix(0, s.jobs.look(j).heldSince), Count: kept(j.id, reg.source)}
	}
	return st
}

// state is what a job does; one that asks for room has not noticed yet that it has no agents.
func (s *Supervisor) state(j *job, reg *registration) aem.State {
	state := j.state()
	if _, down := s.down[reg.pool]; down && reg.asks && state == aem.Armed {
		return aem.Failing
	}
	return state
}

// kept is how many arrivals a held job's source keeps for later, as far as it can know.
func kept(id aem.JobID, src any) uint64 {
	if k, ok := src.(interface{ Kept(aem.JobID) uint64 }); ok {
		return k.Kept(id)
	}
	return 0
}

// String names the first of the reasons.
func (h holds) String() string {
	switch {
	case h&holdSource != 0:
		return "source"
	case h&holdAgents != 0:
		return "agents"
	}
	return "limit"
}

func (s *Supervisor) answerStart(_ context.Context, peer control.Peer, req control.Request) control.Reply {
	return s.touch(peer, req, act{do: func(j *job, _ *control.Touched) {
		s.jobs.registration(j).pool.Start()
		s.start(j.id)
	}})
}

func (s *Supervisor) answerStop(_ context.Context, peer control.Peer, req control.Request) control.Reply {
	stop := s.pause
	if req.Close {
		stop = s.stop
	}
	return s.touch(peer, req, act{do: func(j *job, _ *control.Touched) { stop(j.id) }})
}

func (s *Supervisor) answerRemove(_ context.Context, peer control.Peer, req control.Request) control.Reply {
	return s.touch(peer, req, act{
		ahead: func(jobs []*job) { s.shedWaiting(jobs, removedCompletion()) },
		do:    func(j *job, _ *control.Touched) { s.remove(j.id) },
	})
}

// waiter waits for the fates of one event.
type waiter struct {
	left  int
	fates []control.Fate
	done  chan struct{}
}

// tell records a fate for whoever waits for it. The job is named only then.
func (s *Supervisor) tell(id aem.EventID, c *aem.Completion, job func() string) {
	w := s.waiters[id]
	if w == nil {
		return
	}
	w.fates = append(w.fates, control.Fate{Job: job(), Outcome: c.Outcome.String(), Reason: c.Reason, Reply: bytes.Clone(c.Reply)})
	if w.left--; w.left == 0 {
		delete(s.waiters, id)
		close(w.done)
		s.awaited = true
	}
}

func (s *Supervisor) answerEmit(ctx context.Context, peer control.Peer, req control.Request) control.Reply {
	emitted, err := s.publishAndWait(ctx, peer, req)
	if err != nil {
		return refusal(req.Op, err)
	}
	return control.Done(emitted)
}

// Emit detects an event for every subscriber of a topic, APP/NAME, and waits for its fates: for a program that embeds
// the supervisor. The data is the supervisor's from here on. It may be called from anywhere but the loop, that is not
// from a callback.
func (s *Supervisor) Emit(ctx context.Context, topic string, data []byte) (control.Emitted, error) {
	return s.publishAndWait(ctx, control.Peer{}, control.Request{Op: control.OpEmit, Topic: topic, Data: data, Wait: true})
}

func (s *Supervisor) publishAndWait(ctx context.Context, peer control.Peer, req control.Request) (control.Emitted, error) {
	return s.fates(ctx, req.Op, req.Wait, func(w *waiter) (control.Emitted, error) { return s.emit(peer, req, w) })
}

// fates has an event made on the loop, and waits for its fates, if they are wanted.
func (s *Supervisor) fates(ctx context.Context, op control.Op, wanted bool, detect func(w *waiter) (control.Emitted, error)) (emitted control.Emitted, err error) {
	w := &waiter{done: make(chan struct{})}
	err = errStopping
	s.ask(func() { emitted, err = detect(w) })
	if err != nil || !wanted {
		return emitted, err
	}
	select {
	case <-w.done:
		emitted.Fates = w.fates
		return emitted, nil
	case <-ctx.Done():
		s.Post(func() { delete(s.waiters, emitted.ID) })
		return emitted, control.Errorf(syscall.ETIMEDOUT, "%v: the fate of event %s is open", op, emitted.ID)
	}
}

func (s *Supervisor) emit(peer control.Peer, req control.Request, w *waiter) (control.Emitted, error) {
	if s.phase != running {
		return control.Emitted{}, errStopping // and not that nobody subscribes, which is so by then
	}
	subscribers := s.topics.Subscribers(req.Topic)
	if len(subscribers) == 0 {
		return control.Emitted{}, control.Errorf(syscall.ENOENT, "emit: no started job has the topic %s", req.Topic)
	}
	for _, id := range subscribers {
		if a := s.jobs.registration(s.jobs.get(id)).app; !s.may(peer, a) {
			return control.Emitted{}, control.Errorf(syscall.EPERM, "emit: uid %d may not publish to app %s", peer.UID, a.spec.Name)
		}
	}
	if w.left = len(subscribers); req.Wait {
		s.waiters[s.lastID+1] = w // before the event is made: a job may shed it at once
	}
	notMeant := s.notMeant
	e, _, err := s.publish(req.Topic, req.Data)
	if err != nil {
		delete(s.waiters, s.lastID+1)
		return control.Emitted{}, err
	}
	return control.Emitted{ID: e.ID, Jobs: len(subscribers) - int(s.notMeant-notMeant)}, nil
}
