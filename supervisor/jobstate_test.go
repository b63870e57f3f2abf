package supervisor

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/source"
)

// inState is a job in a state.
func inState(s aem.State) job {
	return map[aem.State]job{
		aem.Stopped: {}, aem.Armed: {started: true}, aem.Held: {started: true, holds: holdLimit},
		aem.Failing: {started: true, holds: holdSource}, aem.Ended: {ended: true},
	}[s]
}

// TestEveryCellOfTheJobsTable has what each input makes of each state, with the reason of its row.
func TestEveryCellOfTheJobsTable(t *testing.T) {
	rows := []struct {
		from                                                                 aem.State
		start, stop, limit, agents, source, noLimit, noAgents, noSource, end aem.State
	}{
		{aem.Stopped, aem.Armed, aem.Stopped, aem.Stopped, aem.Stopped, aem.Stopped, aem.Stopped, aem.Stopped, aem.Stopped, aem.Ended},
		{aem.Armed, aem.Armed, aem.Stopped, aem.Held, aem.Failing, aem.Failing, aem.Armed, aem.Armed, aem.Armed, aem.Ended},
		{aem.Held, aem.Held, aem.Stopped, aem.Held, aem.Failing, aem.Failing, aem.Armed, aem.Held, aem.Held, aem.Ended},
		{aem.Failing, aem.Failing, aem.Stopped, aem.Failing, aem.Failing, aem.Failing, aem.Failing, aem.Failing, aem.Armed, aem.Ended},
		{aem.Ended, aem.Armed, aem.Ended, aem.Ended, aem.Ended, aem.Ended, aem.Ended, aem.Ended, aem.Ended, aem.Ended},
	}
	if len(rows) != len(moves) {
		t.Fatalf("the table has %d states, and %d are known here", len(moves), len(rows))
	}
	for state := range moves {
		for in, f := range moves[state] {
			if f == nil {
				t.Fatalf("the cell of state %v and input %d is empty", aem.State(state), in)
			}
		}
	}
	for _, row := range rows {
		for i, c := range []struct {
			in   input
			why  holds
			want aem.State
		}{
			{toStart, 0, row.start}, {toStop, 0, row.stop},
			{toHold, holdLimit, row.limit}, {toHold, holdAgents, row.agents}, {toHold, holdSource, row.source},
			{toRelease, holdLimit, row.noLimit}, {toRelease, holdAgents, row.noAgents}, {toRelease, holdSource, row.noSource},
			{toEnd, 0, row.end},
		} {
			j := inState(row.from)
			before := j
			if changed := j.move(c.in, c.why); j.state() != c.want || changed != (j != before) {
				t.Errorf("%v, input %d: %v, want %v", row.from, i, j.state(), c.want)
			}
			if !j.started && j.holds != 0 {
				t.Errorf("%v, input %d: %+v is held, and does not detect", row.from, i, j)
			}
		}
	}
}

// jobModel is what a job ought to be: a second opinion, in the words of docs/delivery.md.
type jobModel struct {
	once, started, ended, removed bool
	detects                       bool // it has not had the one event that it runs for
	reasons                       map[holds]bool
	detected, done, failed, shed  uint64
	pending                       uint64 // those that wait, and the one that runs
}

func (m *jobModel) state() aem.State {
	switch {
	case m.ended:
		return aem.Ended
	case !m.started:
		return aem.Stopped
	case m.reasons[holdAgents] || m.reasons[holdSource]:
		return aem.Failing
	case m.reasons[holdLimit]:
		return aem.Held
	}
	return aem.Armed
}

func (m *jobModel) counts() aem.Counts {
	c := aem.Counts{Detected: m.detected, Done: m.done, Failed: m.failed, Shed: m.shed}
	if m.pending > 0 {
		c.Running, c.Waiting = 1, m.pending-1
	}
	return c
}

// fate is one activation's end.
func (m *jobModel) fate(n *uint64) {
	*n++
	m.pending--
	if m.once {
		m.started, m.ended, m.reasons = false, true, map[holds]bool{}
	}
}

// TestJobsAgreeWithTheirModel_R073 has random operations done to a job whose handler is held in hand, and compares state
// and books after each with a model of them.
func TestJobsAgreeWithTheirModel_R073(t *testing.T) {
	gate := make(chan error)
	h, functions := function(executor.Thread, func(context.Context, *aem.Event) error { return <-gate })
	h.Concurrency = 1
	r := startRun(t, functions, testApp("a", []executor.Spec{h}))
	rapid.Check(t, func(t *rapid.T) {
		e := event("t", source.Topic{Name: "a/t"}, "h")
		e.Once = rapid.Bool().Draw(t, "once")
		ids, err := r.Register("a", e)
		if err != nil {
			t.Fatal(err)
		}
		id, m := ids[0], &jobModel{once: e.Once, reasons: map[holds]bool{}}
		defer func() { // so that the next one begins with nothing
			for range m.pending {
				gate <- nil
			}
			r.Remove(id) //nolint:errcheck // it may be gone
		}()
		agree := func(after string) {
			for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Microsecond) {
				var state aem.State
				var c aem.Counts
				gone := false
				r.ask(func() {
					if j := r.jobs.get(id); j != nil {
						state, c = j.state(), r.jobs.counts(j)
					} else {
						gone = true
					}
				})
				if gone == m.removed && (gone || state == m.state() && c == m.counts() && c.Balanced()) {
					return
				}
				if time.Now().After(deadline) {
					t.Fatalf("after %s: %v %+v, want %v %+v", after, state, c, m.state(), m.counts())
				}
			}
		}
		reasons := []holds{holdLimit, holdAgents}
		operations := map[string]func(){
			"start": func() {
				if r.ask(func() { r.Supervisor.start(id) }); !m.started {
					m.started, m.detects, m.ended, m.reasons = true, true, false, map[holds]bool{}
				}
			},
			"stop": func() {
				if r.ask(func() { r.Supervisor.stop(id) }); m.started {
					m.started, m.reasons = false, map[holds]bool{}
				}
			},
			"publish": func() {
				r.ask(func() { r.publish("a/t", nil) })
				if m.started && m.detects {
					m.detected, m.pending, m.detects = m.detected+1, m.pending+1, !m.once
				}
			},
			"fire": func() {
				r.ask(func() {
					j := r.jobs.get(id)
					r.activate(j, r.jobs.registration(j), r.NewEvent("topic"))
				})
				m.detected, m.pending = m.detected+1, m.pending+1
			},
			"hold": func() {
				why := rapid.SampledFrom(reasons).Draw(t, "why")
				if r.ask(func() { r.hold(id, why) }); m.started {
					m.reasons[why] = true
				}
			},
			"release": func() {
				why := rapid.SampledFrom(reasons).Draw(t, "why")
				r.ask(func() { r.release(id, why) })
				m.reasons[why] = false
			},
			"trouble": func() {
				if r.ask(func() { r.Trouble(id, errors.New("trouble")) }); m.started {
					m.reasons[holdSource] = true
				}
			},
			"no trouble": func() {
				r.ask(func() { r.Trouble(id, nil) })
				m.reasons[holdSource] = false
			},
			"complete": func() {
				if m.pending > 0 {
					gate <- nil
					m.fate(&m.done)
				}
			},
			"fail": func() {
				if m.pending > 0 {
					gate <- aem.Fail(errors.New("no use"))
					m.fate(&m.failed)
				}
			},
			"clean": func() {
				if m.pending > 1 {
					r.ask(func() { r.clean(r.jobs.get(id)) })
					for m.pending > 1 {
						m.fate(&m.shed)
					}
				}
			},
			"remove": func() {
				r.ask(func() { r.remove(id) })
				m.removed, m.pending = true, min(m.pending, 1)
			},
		}
		names := make([]string, 0, len(operations))
		for name := range operations {
			names = append(names, name)
		}
		slices.Sort(names)
		for range rapid.IntRange(1, 30).Draw(t, "operations") {
			if m.removed {
				return
			}
			name := rapid.SampledFrom(names).Draw(t, "operation")
			operations[name]()
			agree(name)
		}
	})
}

// TestSourceThatHoldsItselfIsHeldByLimits has a listener in trouble when its app comes to a limit: when the trouble is over,
// it must not go on by itself.
func TestSourceThatHoldsItselfIsHeldByLimits(t *testing.T) {
	addr := tcpAddress(t)
	cat := handler("h", "/bin/cat")
	cat.Handover = executor.Socket
	r := startRun(t, nil, testApp("a", []executor.Spec{cat}, event("t", source.Accept{Listen: []source.Address{addr}}, "h")))
	r.ask(func() {
		id := r.jobNamed("a/t").id
		r.Trouble(id, errors.New("no descriptors"))
		r.hold(id, holdLimit)
		r.Trouble(id, nil)
	})
	c, err := net.Dial("tcp", addr.IP.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	time.Sleep(50 * time.Millisecond) // time enough to accept it
	if c := r.counts("a/t"); c.Detected != 0 {
		t.Errorf("detected while held: %+v", c)
	}
	r.ask(func() { r.release(r.jobNamed("a/t").id, holdLimit) })
	r.until("a/t", "detected", func(c aem.Counts) bool { return c.Detected == 1 })
}
