package supervisor

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/aem-exec/aem-exec/directcopy"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/internal/timing"
)

// A copy into a handler's memory can park the thread that makes it: a page of the arena may belong to a file system or
// a userfaultfd that never answers, and then no signal frees the writer. So:
//
//   - Small copies are made on the loop. The watchdog sees one that lasts heldAfter, takes the loop away from its
//     thread and starts another thread on the same state, which a copy leaves whole because it is the last thing that
//     step 4 does. The parked thread finds that it has lost the loop, and ends, if the copy ever returns.
//   - Large copies are made on a thread of the app's own, a megabyte at a time; the loop sees that one makes no headway.
//
// A thread that only waits for its turn on a busy machine is let be: it is not asleep. While one is, its app is given no
// direct copies. A copy may sleep for a while and be well, for the lock of an address space or for memory; the process of
// one that sleeps through stuckAfter is ended. The threads that may be held at once are bounded.
const (
	inlineBytes = 64 << 10              // larger copies take the app's thread
	heldAfter   = 50 * time.Millisecond // and no page came
	stuckAfter  = time.Second
	stuckLooks  = int(stuckAfter / heldAfter)
	maxParked   = 16 // threads; beyond it the loop itself waits, and says so
)

// copier makes the copies for one app.
type copier struct {
	s *Supervisor
}

// Copy makes the copy, here or on another thread.
func (c *copier) Copy(r *directcopy.Reservation, pid int, o executor.CopyOwner) {
	if r.Bytes() > inlineBytes {
		c.copyElsewhere(r, pid, o)
		return
	}
	w := &c.s.watch
	w.enter(o)
	err := r.Copy(pid)
	if !w.leave() {
		c.s.Post(func() { w.left[o].returned(err) })
		runtime.Goexit() // the loop goes on without this thread
	}
	o.Copied(err)
}

// copyElsewhere makes a large copy on a goroutine of its own, one for each copy: next to a copy that long, starting it
// costs nothing.
func (c *copier) copyElsewhere(r *directcopy.Reservation, pid int, o executor.CopyOwner) {
	l := &longCopy{s: c.s, owner: o}
	go func() {
		runtime.LockOSThread() // so that the loop can look at the thread
		defer runtime.UnlockOSThread()
		l.tid.Store(int64(sys.Gettid()))
		err := l.copy(r, pid)
		c.s.Post(func() { l.returned(err) })
	}()
	c.s.alarms.After(&l.alarm, heldAfter, l.look)
}

// longCopy is a copy that the loop does not wait for. All but tid and chunks is the loop's.
type longCopy struct {
	s      *Supervisor
	owner  executor.CopyOwner
	tid    atomic.Int64 // of the thread that makes it; 0: not begun
	chunks atomic.Int64 // that it has made
	alarm  timing.Alarm
	seen   int64 // of chunks, at the last look
	asleep int   // looks in a row that found the thread asleep, and no headway
	held   bool  // the owner was told that it holds a thread
	stuck  bool  // and that it was given up
}

func (l *longCopy) copy(r *directcopy.Reservation, pid int) error {
	for {
		done, err := r.CopyChunk(pid)
		if done || err != nil {
			return err
		}
		l.chunks.Add(1)
	}
}

// look is there again and again, as long as the copy is not given up.
func (l *longCopy) look() {
	now, tid := l.chunks.Load(), int(l.tid.Load())
	if now != l.seen || tid == 0 || !sys.Sleeps(tid) {
		l.seen, l.asleep = now, 0
	} else if l.asleep++; l.asleep >= l.s.watch.looks {
		l.stuck = true
		l.owner.Stuck()
		return
	} else {
		l.hold()
	}
	l.s.alarms.After(&l.alarm, heldAfter, l.look)
}

func (l *longCopy) hold() {
	if !l.held {
		l.held = true
		l.s.watch.parked.Add(1)
		l.owner.Held()
	}
}

// returned takes the thread back.
func (l *longCopy) returned(err error) {
	l.alarm.Stop()
	delete(l.s.watch.left, l.owner)
	if l.held {
		l.s.watch.parked.Add(-1)
	}
	if l.stuck {
		l.owner.Freed()
	} else {
		l.owner.Copied(err)
	}
}

// watchdog watches the copies that the loop makes. enter and leave belong to the loop's thread, run is a goroutine of
// its own, and state is between them: a number that counts up by four with each copy, and what the copy is at.
type watchdog struct {
	s      *Supervisor
	state  atomic.Uint64
	tid    atomic.Int64       // of the thread that has the loop
	owner  executor.CopyOwner // of the copy under way; written before state says so
	awake  atomic.Bool        // run looks; else it waits for wake
	wake   chan struct{}
	parked atomic.Int64

	// The loop's.
	left  map[executor.CopyOwner]*longCopy // copies that it was taken away from
	looks int                              // that find a copy asleep until it is given up
}

// What a copy is at, in the low bits of state.
const (
	copyNone  = 0 // none is under way
	copyOn    = 1 // under way
	copyTaken = 2 // under way, and the loop was taken away from its thread
	copyMask  = 3
)

func (w *watchdog) enter(o executor.CopyOwner) {
	w.owner = o
	w.state.Store(w.state.Load()&^copyMask + 4 | copyOn)
	if !w.awake.Load() && w.awake.CompareAndSwap(false, true) {
		w.wake <- struct{}{} // has room: only who sets awake sends
	}
}

// leave reports whether the thread still has the loop.
func (w *watchdog) leave() bool {
	on := w.state.Load()
	return on&copyMask == copyOn && w.state.CompareAndSwap(on, on&^copyMask)
}

// run looks, while copies are made, whether one lasts; it sleeps for good while none are.
func (w *watchdog) run(ctx context.Context) {
	for {
		select {
		case <-w.wake:
		case <-ctx.Done():
			return
		}
		w.look(ctx)
	}
}

func (w *watchdog) look(ctx context.Context) {
	tick := time.NewTicker(heldAfter)
	defer tick.Stop()
	for last := uint64(0); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := w.state.Load()
		switch {
		case now != last:
			last = now
		case now&copyMask == copyOn:
			if sys.Sleeps(int(w.tid.Load())) {
				w.takeOver(now)
			}
		default: // nothing for a whole tick
			w.awake.Store(false)
			if w.state.Load() == now || !w.awake.CompareAndSwap(false, true) {
				return // idle, or enter has just asked to be looked at again
			}
		}
	}
}

// takeOver starts another thread on the loop, unless the copy has returned by now.
func (w *watchdog) takeOver(now uint64) {
	if w.parked.Load() >= maxParked {
		w.s.log.Error("the loop waits for a copy: too many threads are held by others", "parked", w.parked.Load())
		return
	}
	if !w.state.CompareAndSwap(now, now&^copyMask|copyTaken) {
		return
	}
	l := &longCopy{s: w.s, owner: w.owner, asleep: 1}
	l.tid.Store(w.tid.Load())
	go w.s.loop(func() {
		w.left[l.owner] = l
		l.hold()
		w.s.alarms.After(&l.alarm, heldAfter, l.look)
	})
}
