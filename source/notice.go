package source

import (
	"path"
	"slices"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/timing"
)

// The types of what the supervisor tells of itself. The first fact of each is the app that it is about.
var (
	limitType = Type{
		Name: "supervisor.limit",
		Facts: []Field{
			{"subject", aem.FactText, "the app"},
			{"limit", aem.FactText, "the limit's key, as `activations`"},
			{"value", aem.FactText, "what it is set to"},
			{"used", aem.FactText, "what was used of it"},
			{"reached", aem.FactNumber, "how often it was reached since the start"},
			{"errno", aem.FactText, "what is refused at it is refused with this, as `EAGAIN`"},
		},
		Open:  func(e Env) Source { return newNotices(e, "supervisor.limit") },
		Merge: mergeLines, Merged: mergedLines,
	}
	failedType = Type{
		Name: "supervisor.failed",
		Data: "the report of the last attempt, as the log has it",
		Facts: []Field{
			{"subject", aem.FactText, "the app"},
			{"job", aem.FactText, "`app/event`, with the handler where there are several"},
			{"failed", aem.FactText, "the id of the event that failed: that of its dead letter"},
			{"reason", aem.FactText, "in one word, as `timeout`"},
			{"attempts", aem.FactNumber, "all that it had"},
		},
		Open:  func(e Env) Source { return newNotices(e, "supervisor.failed") },
		Merge: mergeLines, Merged: mergedLines,
	}
	diedType = Type{
		Name: "supervisor.died",
		Data: "the report of the attempt, as the log has it",
		Facts: []Field{
			{"subject", aem.FactText, "the app"},
			{"job", aem.FactText, "`app/event`, with the handler where there are several"},
			{"died", aem.FactText, "the id of the event that the process had"},
			{"reason", aem.FactText, "in one word, as `signal` or `timeout`"},
			{"attempts", aem.FactNumber, "at the event until now; another one may follow"},
		},
		Open:  func(e Env) Source { return newNotices(e, "supervisor.died") },
		Merge: mergeLines, Merged: mergedLines,
	}
	deadlineType = Type{
		Name: "supervisor.deadline",
		Facts: []Field{
			{"subject", aem.FactText, "the app"},
			{"job", aem.FactText, "`app/event`, with the handler where there are several"},
			{"late", aem.FactText, "the id of the event that did not start in time"},
			{"deadline_us", aem.FactNumber, "what the file says, in microseconds"},
			{"waited_us", aem.FactNumber, "how long it has waited until now; it may wait still"},
		},
		Open:  func(e Env) Source { return newNotices(e, "supervisor.deadline") },
		Merge: mergeLines, Merged: mergedLines,
	}
	silenceType = Type{
		Name: "supervisor.silence",
		Facts: []Field{
			{"subject", aem.FactText, "the app"},
			{"job", aem.FactText, "`app/event`, with the handler where there are several"},
			{"silence_us", aem.FactNumber, "what the file says, in microseconds"},
			{"since", aem.FactTime, "the last arrival, or the job's start"},
		},
		Open:  func(e Env) Source { return newNotices(e, "supervisor.silence") },
		Merge: mergeLines, Merged: mergedLines,
	}
	errorType = Type{
		Name: "supervisor.error",
		Facts: []Field{
			{"subject", aem.FactText, "the app"},
			{"job", aem.FactText, "`app/event`, with the handler where there are several"},
			{"what", aem.FactText, "`data`: an event cannot be given to its handler as it is; `memory`: its handler's allocator has no room; `detection` fails at the moment; events are `lost`"},
			{"failed", aem.FactText, "the event's id, if it is about one"},
			{"error", aem.FactText, "why, in words"},
			{"lost", aem.FactNumber, "how many events, where that is known"},
		},
		Open:  func(e Env) Source { return newNotices(e, "supervisor.error") },
		Merge: mergeLines, Merged: mergedLines,
	}
	agentType = Type{
		Name: "supervisor.agent",
		Facts: []Field{
			{"subject", aem.FactText, "the app"},
			{"agent", aem.FactText, "the name of the handler whose agents it is about"},
			{"state", aem.FactText, "`down`: they cannot be made; `up`: one is there again"},
			{"error", aem.FactText, "why not; empty with `up`"},
		},
		Open:  func(e Env) Source { return newNotices(e, "supervisor.agent") },
		Merge: mergeLines, Merged: mergedLines,
	}
)

// keptNotices bounds what waits to be detected, of each type and for each job that is held. At it the newest takes the
// place of the one before, and counts for it too.
const keptNotices = 64

// Notices is the source of one of the types supervisor.*. Tell is called in the middle of other things, so what it is
// told is detected in the loop's next round of alarms.
type Notices struct {
	env     Env
	typ     string
	jobs    []*subscriber // in the order they started
	pending []*aem.Event
	alarm   timing.Alarm
}

// subscriber is one started job.
type subscriber struct {
	id   aem.JobID
	apps []string // patterns of the apps it is told of
	held bool
	kept []*aem.Event // what came meanwhile; it counts as a user of each
}

func newNotices(e Env, typ string) *Notices { return &Notices{env: e, typ: typ} }

// Start begins to tell a job.
func (s *Notices) Start(id aem.JobID, spec Spec) error {
	s.jobs = append(s.jobs, &subscriber{id: id, apps: spec.(Notice).Apps})
	return nil
}

// Stop ends it; what was kept for it is gone, as it was never detected.
func (s *Notices) Stop(id aem.JobID) {
	s.jobs = slices.DeleteFunc(slices.Clone(s.jobs), func(l *subscriber) bool { return l.id == id }) // deliver goes through the old list
}

// Hold keeps what is told from here on.
func (s *Notices) Hold(id aem.JobID) {
	if l := s.subscriber(id); l != nil {
		l.held = true
	}
}

// Resume has what was kept detected.
func (s *Notices) Resume(id aem.JobID) {
	if l := s.subscriber(id); l != nil {
		l.held = false
		s.wake()
	}
}

// Close tells nobody any more.
func (s *Notices) Close() { s.alarm.Stop() }

// Kept is how many arrivals wait for a job that is held.
func (s *Notices) Kept(id aem.JobID) (n uint64) {
	if l := s.subscriber(id); l != nil {
		for _, e := range l.kept {
			n += uint64(e.Count)
		}
	}
	return n
}

func (s *Notices) subscriber(id aem.JobID) *subscriber {
	if i := slices.IndexFunc(s.jobs, func(l *subscriber) bool { return l.id == id }); i >= 0 {
		return s.jobs[i]
	}
	return nil
}

// Tell makes an event of the type's facts, which is detected for every job that wants to know of the app.
func (s *Notices) Tell(data []byte, facts ...aem.Fact) {
	if len(s.jobs) > 0 {
		s.make(data, nil, facts)
	}
}

// Ask is Tell for somebody who wants the answers. It reports false, and makes no event, when none can be had now: no job
// wants to know, or all that do are held. An answer that comes may still be missed, by what is merged with it or stopped.
func (s *Notices) Ask(origin aem.Origin, facts ...aem.Fact) bool {
	heard := slices.ContainsFunc(s.jobs, func(l *subscriber) bool { return !l.held && l.wants(facts[0].Value) })
	if heard {
		s.make(nil, origin, facts)
	}
	return heard
}

func (s *Notices) make(data []byte, origin aem.Origin, facts []aem.Fact) {
	e := s.env.Sink.NewEvent(s.typ)
	e.Data, e.Origin = data, origin
	for _, f := range facts {
		f.Value = f.Value[:min(len(f.Value), aem.MaxFactBytes)]
		e.Add(f)
	}
	s.pending = keep(s.pending, e)
	s.wake()
}

// keep adds an event to a list, which is a user of it.
func keep(list []*aem.Event, e *aem.Event) []*aem.Event {
	n := len(list)
	if n < keptNotices {
		e.Users++
		return append(list, e)
	}
	both, last := *e, list[n-1] // others may have the event itself
	both.Count, both.Users = e.Count+last.Count, 1
	last.Users--
	list[n-1] = &both
	return list
}

func (s *Notices) wake() {
	if !s.alarm.Set() {
		s.env.Alarms.After(&s.alarm, 0, s.deliver)
	}
}

// deliver detects what is pending and what was kept.
func (s *Notices) deliver() {
	pending := s.pending
	s.pending = nil
	for _, l := range s.jobs {
		for _, e := range pending {
			if l.wants(e.Facts[0].Value) {
				l.kept = keep(l.kept, e)
			}
		}
		for len(l.kept) > 0 && !l.held && s.subscriber(l.id) == l {
			e := l.kept[0]
			l.kept = l.kept[1:]
			s.env.Sink.Detected(l.id, e)
			e.Users--
		}
	}
	for _, e := range pending {
		e.Users--
	}
}

// wants reports whether the job is told of an app.
func (l *subscriber) wants(app string) bool {
	return slices.ContainsFunc(l.apps, func(pattern string) bool {
		ok, err := path.Match(pattern, app)
		return ok && err == nil
	})
}
