package supervisor

import (
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/timing"
)

// silence watches that a job hears something now and then.
type silence struct {
	alarm timing.Alarm
	since time.Time // the last arrival, or the start
}

// watchSilence begins to wait for a job's next arrival.
func (s *Supervisor) watchSilence(id aem.JobID, reg *registration, since time.Time) {
	if reg.spec.Silence == 0 {
		return
	}
	w := s.silences[id]
	if w == nil {
		w = new(silence)
		s.silences[id] = w
	}
	if w.since = since; !w.alarm.Set() { // else it finds out by itself that something came
		s.silentAfter(id, reg, w, reg.spec.Silence)
	}
}

func (s *Supervisor) silentAfter(id aem.JobID, reg *registration, w *silence, d time.Duration) {
	s.alarms.After(&w.alarm, d, func() {
		quiet := time.Since(w.since)
		switch left := reg.spec.Silence - quiet; {
		case left > 0:
			s.silentAfter(id, reg, w, left)
		case s.jobs.get(id).holds != 0: // it cannot hear anything
			s.silentAfter(id, reg, w, reg.spec.Silence)
		default: // told once, until something comes
			s.log.Warn("silence", "job", reg.name(), "since", w.since)
			s.notify("supervisor.silence", reg.app, nil, text("job", reg.name()),
				aem.NumberFact("silence_us", reg.spec.Silence.Microseconds()), aem.TimeFact("since", w.since.UnixNano()))
		}
	})
}

// endSilence waits no more.
func (s *Supervisor) endSilence(id aem.JobID) {
	if w := s.silences[id]; w != nil {
		w.alarm.Stop()
		delete(s.silences, id)
	}
}
