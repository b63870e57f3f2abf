package executor

import (
	"errors"
	"fmt"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// Boost is how the kernel is to treat the threads that run an app's handlers, by the priority of the events that wait for
// them: levels, the lowest first. Below the first a thread is as its handler says. It is a plain value.
type Boost []Level

// Level holds from a priority on, up to the next level. It never makes a thread less urgent than it is by itself.
type Level struct {
	From     aem.Priority
	Nice     *int          // man 7 sched; nil: its own
	Slice    time.Duration // how long it runs at a time, among equals: who asks for less is served sooner; 0: its own
	Realtime int           // its priority in the class SCHED_RR; 0: not in that
}

// Realtime is the highest real-time priority of all levels, 0 where there is none.
func (b Boost) Realtime() (highest int) {
	for i := range b {
		highest = max(highest, b[i].Realtime)
	}
	return highest
}

// at is the level of a priority, counted from 1; 0 is below the first.
func (b Boost) at(p aem.Priority) int {
	n := len(b)
	for n > 0 && p < b[n-1].From {
		n--
	}
	return n
}

// over is how a thread is scheduled at the level that is scheduled as base by itself. What would be a privilege for
// what it forks is taken from that by the kernel.
func (l *Level) over(base sys.SchedAttr) sys.SchedAttr {
	realtime := base.Policy == sys.SCHED_RR || base.Policy == sys.SCHED_FIFO
	fair := base.Policy == sys.SCHED_OTHER || base.Policy == sys.SCHED_BATCH
	to := base
	switch {
	case l.Realtime > 0 && (!realtime && base.Policy != sys.SCHED_DEADLINE || realtime && int(base.Priority) < l.Realtime):
		to.Policy, to.Priority, to.Runtime = sys.SCHED_RR, uint32(l.Realtime), 0
		to.Flags |= sys.SCHED_FLAG_RESET_ON_FORK
	case fair:
		if l.Nice != nil && int32(*l.Nice) < base.Nice {
			to.Nice = int32(*l.Nice)
			to.Flags |= sys.SCHED_FLAG_RESET_ON_FORK
		}
		if slice := uint64(l.Slice); slice > 0 && (base.Runtime == 0 || slice < base.Runtime) {
			to.Runtime = slice
		}
	}
	return to
}

// Booster raises threads of one app to its levels. It belongs to the loop.
type Booster struct {
	levels Boost
	own    sys.SchedAttr // how threads of ours are scheduled that nothing was done to
	slice  uint64        // of those that ask for none
	Calls  uint64        // system calls that it made
}

// OpenBooster makes an app's booster, nil where it has no levels, and refuses what this host does not let us do: it puts
// a thread to each level and back.
func OpenBooster(levels Boost) (*Booster, error) {
	if len(levels) == 0 {
		return nil, nil
	}
	b := &Booster{levels: levels}
	if err := sys.OnThread(b.tryAll); err != nil {
		return nil, err
	}
	return b, nil
}

// tryAll finds out how a thread of ours is scheduled that nothing was done to, and puts the calling one to each level.
func (b *Booster) tryAll() (err error) {
	if b.own, err = sys.Scheduling(0); err != nil {
		return fmt.Errorf("read own scheduling: %w", err)
	}
	b.own.Runtime = 0
	if err = b.set(0, &b.own); err != nil {
		return fmt.Errorf("set own scheduling: %w", err)
	}
	plain, err := sys.Scheduling(0)
	if err != nil {
		return fmt.Errorf("read own scheduling: %w", err)
	}
	b.slice = plain.Runtime
	for i := range b.levels {
		if err := b.try(&b.levels[i]); err != nil {
			return fmt.Errorf("from priority %d on: %w", b.levels[i].From, err)
		}
	}
	return nil
}

// try puts the calling thread to a level and back.
func (b *Booster) try(l *Level) error {
	to := l.over(b.own)
	if err := b.set(0, &to); err != nil {
		return fmt.Errorf("set scheduling: %w (%s)", err, wantsToBoost)
	}
	if got, err := sys.Scheduling(0); err != nil || l.Slice > 0 && got.Runtime != to.Runtime {
		return errors.New("slice: this kernel sets none: it needs Linux 6.12")
	}
	if err := b.set(0, &b.own); err != nil {
		return fmt.Errorf("set scheduling back: %w (%s)", err, wantsToBoost)
	}
	return nil
}

// wantsToBoost is what may be missing.
const wantsToBoost = "CAP_SYS_NICE; for realtime with cgroup v1 also cpu.rt_runtime_us of its cpu group, which is 0 in a new one"

// read is how a thread is scheduled; a slice that it did not ask for is 0.
func (b *Booster) read(tid int) (sys.SchedAttr, error) {
	b.Calls++
	a, err := sys.Scheduling(tid)
	if a.Runtime == b.slice {
		a.Runtime = 0
	}
	return a, err
}

func (b *Booster) set(tid int, a *sys.SchedAttr) error {
	b.Calls++
	return sys.SetScheduling(tid, a)
}
