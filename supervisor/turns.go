package supervisor

import (
	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
)

// Apps whose activations are equally urgent take turns, so that one which floods delays another by a turn and not by all
// that it may have waiting. Each activation that begins moves its app on by one, in a time that each priority has of its own
// for all apps: who had nothing for a while comes first, and for one turn, whatever he might have had. Within an app the order is
// that of activation.

// turnLength is how many activations an app begins before the next one has its turn: what goes in one copy needs more
// than one.
const turnLength = 16

// turns is the time of each priority: where the app is that is furthest.
type turns [aem.PriorityLevels]uint64

// of is where an app is.
func (t *turns) of(p *executor.Pool, priority aem.Priority) uint64 {
	at := (*p.Turns())[priority]
	if now := t[priority]; at+turnLength < now {
		return now - turnLength
	}
	return at
}

// place is where the head of a pool's queue stands among all of them.
type place struct {
	priority aem.Priority
	turn     uint64
	seq      uint64
}

// before reports whether what stands at p is run before what stands at q.
func (p place) before(q place) bool {
	switch {
	case p.priority != q.priority:
		return p.priority > q.priority
	case p.turn != q.turn:
		return p.turn < q.turn
	}
	return p.seq < q.seq
}

// placeOf is where an activation stands, as the head of a pool's queue.
func (s *Supervisor) placeOf(p *executor.Pool, a *aem.Activation) place {
	return place{a.Priority, s.turns.of(p, a.Priority) / turnLength, a.Seq}
}

// moveOn counts an activation of a pool's app that begins.
func (t *turns) moveOn(p *executor.Pool, priority aem.Priority) {
	at := t.of(p, priority)
	(*p.Turns())[priority] = at + 1
	t[priority] = max(t[priority], at)
}

// mark is what of best's pool comes before the next best head: up to that one's place, and where it is another app's and as
// urgent, to the end of the turn.
func (s *Supervisor) mark(best, next *executor.Pool, first, second place) executor.Mark {
	switch {
	case next == nil:
		return executor.Mark{}
	case first.priority == second.priority && best.Turns() != next.Turns():
		left := turnLength - s.turns.of(best, first.priority)%turnLength
		return executor.Mark{Priority: second.priority, Seq: 1<<64 - 1, Left: int(left)}
	}
	return executor.Mark{Priority: second.priority, Seq: second.seq}
}
