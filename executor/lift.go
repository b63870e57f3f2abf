package executor

import (
	"iter"
	"time"

	"github.com/aem-exec/aem-exec/aem"
)

// A pool raises the threads of its agents: each to the highest priority of what it has, and of what waits for one of them
// to be free, because nothing that runs is interrupted for that. What is pressed so is let go when it has answered next.

// settleWait is how long a thread stays raised with nothing to do. Events that come one by one, each when the one before
// is done, would cost system calls for each else.
const settleWait = 5 * time.Millisecond

// hands are a crew's threads, each with the highest priority of what it has, -1 for nothing.
type hands = iter.Seq2[*boosted, int]

func nobody(func(*boosted, int) bool) {}

// lift brings a thread to the priority that it has, and that waits behind it. It is called when what it has changed, and
// before it is told.
func (p *Pool) lift(t *boosted, priority int) {
	switch a, _, waits := p.queue.Peek(); {
	case t.by == nil:
	case priority >= 0 && waits:
		p.raise(t, max(priority, int(a.Priority)))
	case priority >= 0:
		p.raise(t, priority)
	case t.level > 0:
		t.since = now()
		p.settleLater(settleWait)
	}
}

// presses reports whether an activation that is to be queued raises those that run: it is the first that has to wait for
// one of them, or more urgent than what waits already.
func (p *Pool) presses(a *aem.Activation) bool {
	if p.work.Booster == nil || !p.Busy() {
		return false
	}
	head, _, waits := p.queue.Peek()
	return !waits || a.Priority > head.Priority || p.queue.Len() == p.crew.spare()
}

// press raises all threads that have something to the priority of what has to wait for them.
func (p *Pool) press(priority int) {
	for t, has := range p.crew.hands() {
		if has >= 0 {
			p.raise(t, max(has, priority))
		}
	}
}

// refusedTell is how long it is not told again that the kernel refuses what it let us do at the start.
const refusedTell = 10 * time.Second

func (p *Pool) raise(t *boosted, priority int) {
	if err := t.to(priority); err != nil && (p.refused == 0 || now()-p.refused > int64(refusedTell)) {
		p.refused = now()
		p.log.Warn("a thread is not scheduled as boost says", "app", p.app, "handler", p.spec.Name, "thread", t.tid, "err", err)
	}
}

func (p *Pool) settleLater(d time.Duration) {
	if !p.settling.Set() {
		p.work.Alarms.After(&p.settling, d, p.settle)
	}
}

// settle puts threads back that have had nothing to do for a while.
func (p *Pool) settle() {
	for t, has := range p.crew.hands() {
		if has >= 0 || t.level == 0 {
			continue
		}
		if left := settleWait - time.Duration(now()-t.since); left > 0 {
			p.settleLater(left)
		} else {
			p.raise(t, -1)
		}
	}
}
