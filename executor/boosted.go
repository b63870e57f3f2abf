package executor

import (
	"errors"
	"syscall"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// boosted is one thread that is raised: the one that runs an agent's handlers. Its level is that of the most urgent event
// that it has, or that waits behind it. It is set when that changes and not else, so that events of one level cost no
// system call. The zero boosted is none, to which nothing is ever done. It belongs to the loop.
type boosted struct {
	by    *Booster
	pid   int // whose thread it is
	tid   int
	pidfd int           // of pid, where nobody else keeps that number from becoming another process's; 0
	level int           // counted from 1; 0: as it is by itself
	base  sys.SchedAttr // how it was scheduled by itself when it was raised
	set   sys.SchedAttr // how we scheduled it
	own   bool          // it changed its scheduling since: it is left alone until nothing waits for it
	since int64         // when nothing was left for it
}

// to brings the thread to the level of a priority, or back to what it is by itself for -1. A thread that is gone is none
// any more.
func (t *boosted) to(priority int) error {
	level := 0
	if t.by != nil && priority >= 0 {
		level = t.by.levels.at(aem.Priority(priority))
	}
	if level == t.level || t.tid == 0 {
		return nil
	}
	if !t.there() {
		t.tid = 0
		return nil
	}
	now, err := t.by.read(t.tid)
	if err != nil {
		return gone(err)
	}
	if t.level == 0 {
		t.base, t.own = now, false
	} else if now != t.set {
		t.keep(&now)
	}
	want := t.base
	if level > 0 && !t.own {
		want = t.by.levels[level-1].over(t.base)
	}
	if want.Policy == sys.SCHED_RR || want.Policy == sys.SCHED_FIFO {
		want.Nice = now.Nice // which these classes leave as it is
	}
	t.level, t.set = level, want
	if want == now {
		return nil
	}
	if err := t.by.set(t.tid, &want); err != nil {
		t.set, t.base, t.own = now, now, true
		return gone(err)
	}
	return nil
}

// keep makes a change that the thread made of itself its own: what it set, and only that, is what it goes back to.
func (t *boosted) keep(now *sys.SchedAttr) {
	t.own = true
	if now.Policy == sys.SCHED_DEADLINE {
		t.base = *now
		return
	}
	if now.Policy != t.set.Policy || now.Priority != t.set.Priority {
		t.base.Policy, t.base.Priority, t.base.Flags = now.Policy, now.Priority, now.Flags
	}
	if now.Nice != t.set.Nice {
		t.base.Nice = now.Nice
	}
	if now.Runtime != t.set.Runtime {
		t.base.Runtime = now.Runtime
	}
}

// there reports whether the thread's number is still its own.
func (t *boosted) there() bool {
	if t.pidfd != 0 {
		t.by.Calls++
		if sys.PidfdSendSignal(t.pidfd, 0) != nil {
			return false
		}
	}
	if t.pid == t.tid {
		return true
	}
	t.by.Calls++
	return sys.IsThread(t.pid, t.tid)
}

// gone is err, unless it says that the thread has ended.
func gone(err error) error {
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}
