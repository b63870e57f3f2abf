package supervisor

import (
	"context"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/internal/timing"
)

// Bounds of watching.
const (
	happeningsKept = 4096             // the newest; who asks too late is told how many it lost
	happeningsMost = 512              // in one answer
	watchWait      = 10 * time.Second // until an answer without any, so that a client can be seen to have gone
	watchedFor     = 30 * time.Second // after the last request nothing is kept any more
)

// chronicle keeps what happens to events while somebody watches. It belongs to the loop.
type chronicle struct {
	on   bool
	ring []happening
	next uint64 // number of the next one
	off  timing.Alarm
	more chan struct{} // closed at the next one; nil: nobody waits for it
}

// happening is a control.Happening with what it takes to select it.
type happening struct {
	control.Happening
	app            *app
	event, handler string
}

// note keeps one step of an event's life for one job, with its activation and completion if it has them by then. It costs nothing while nobody watches.
func (s *Supervisor) note(what string, id aem.JobID, reg *registration, e *aem.Event, a *aem.Activation, c *aem.Completion) {
	h := &s.chronicle
	if !h.on {
		return
	}
	one := happening{app: reg.app, event: reg.spec.Name, handler: reg.handler, Happening: control.Happening{
		Time: time.Now(), Event: e.ID, ID: id, Job: reg.name(), What: what,
	}}
	if c != nil {
		one.Reason, one.After = c.Reason, c.After
	}
	if a != nil {
		one.Attempt = int(a.Attempt)
	}
	if len(h.ring) < happeningsKept {
		h.ring = append(h.ring, one)
	} else {
		h.ring[h.next%happeningsKept] = one
	}
	h.next++
	if h.more != nil {
		close(h.more)
		h.more, s.awaited = nil, true
	}
}

// answerWatch answers with what happened since another answer, as soon as there is something.
func (s *Supervisor) answerWatch(ctx context.Context, peer control.Peer, req control.Request) control.Reply {
	deadline := time.NewTimer(watchWait)
	defer deadline.Stop()
	for late := false; ; {
		var reply control.Reply
		var more chan struct{}
		if !s.ask(func() { reply, more = s.watched(peer, &req, late) }) {
			return refusal(req.Op, errStopping)
		}
		if more == nil {
			return reply
		}
		select {
		case <-more:
		case <-deadline.C:
			late = true
		case <-ctx.Done():
			late = true
		case <-s.done:
		}
	}
}

// watched is what happened, or what to wait for until there is something.
func (s *Supervisor) watched(peer control.Peer, req *control.Request, late bool) (reply control.Reply, more chan struct{}) {
	h := &s.chronicle
	if _, err := s.selected(peer, *req); err != nil {
		return refusal(req.Op, err), nil
	}
	h.on = true
	s.alarms.After(&h.off, watchedFor, func() { h.on, h.ring = false, nil })
	if req.Since == 0 || req.Since > h.next+1 { // from now on
		req.Since = h.next + 1 // never 0, which would be from the next question on
	}
	w, at := control.Watched{Happenings: []control.Happening{}}, req.Since-1
	if oldest := h.next - uint64(len(h.ring)); at < oldest {
		w.Lost, at = oldest-at, oldest
	}
	for ; at < h.next && len(w.Happenings) < happeningsMost; at++ {
		one := &h.ring[at%happeningsKept]
		if s.may(peer, one.app) && meant(req, one) {
			w.Happenings = append(w.Happenings, one.Happening)
		}
	}
	if len(w.Happenings) == 0 && w.Lost == 0 && !late {
		req.Since = at + 1
		if h.more == nil {
			h.more = make(chan struct{})
		}
		return reply, h.more
	}
	w.Next = at + 1
	return control.Done(w), nil
}

func meant(req *control.Request, h *happening) bool {
	for _, sel := range req.Selectors {
		if sel.Match(h.ID, h.app.spec.Name, h.event, h.handler) {
			return true
		}
	}
	return len(req.Selectors) == 0
}
