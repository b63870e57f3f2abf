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
//   - Small copies are made on the loop. The watchdog sees one that lasts stuckAfter, takes the loop away from its
//     thread and starts another thread on the same state, which a copy leaves whole because it is the last thing that
//     step 4 does. The parked thread finds that it has lost the loop, and ends, if the copy ever returns.
//   - Large copies are made on a thread of the app's own, a megabyte at a time; the loop sees that one makes no headway.
//
// A thread that only waits for its turn on a busy machine is let be: it is not asleep. Else the process is ended, the app
// is given no direct copies while it holds a thread of ours, and the threads that may be held at once are bounded.
const (
	inlineBytes = 64 << 10              // larger copies take the app's thread
	stuckAfter  = 50 * time.Millisecond // and no page came
	maxParked   = 16                    // threads; beyond it the loop itself waits, and says so
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
		w.parked.Add(-1)
		c.s.Post(o.Freed)
		runtime.Goexit() // the loop goes on without this thread
	}
	o.Copied(err)
}

// copyElsewhere makes a large copy on a goroutine of its own, one for each copy: next to a copy that long, starting it
// costs nothing. The loop looks whether it makes headway.
func (c *copier) copyElsewhere(r *directcopy.Reservation, pid int, o executor.CopyOwner) {
	var chunks, tid atomic.Int64
	var alarm timing.Alarm
	stuck := false
	go func() {
		runtime.LockOSThread() // so that the loop can look at the thread
		defer runtime.UnlockOSThread()
		tid.Store(int64(sys.Gettid()))
		err := copyChunks(r, pid, &chunks)
		c.s.Post(func() {
			alarm.Stop()
			if stuck {
				c.s.watch.parked.Add(-1)
				o.Freed()
				return
			}
			o.Copied(err)
		})
	}()
	last := int64(-1)
	var look func()
	look = func() {
		if now := chunks.Load(); now != last || tid.Load() == 0 || !sys.Sleeps(int(tid.Load())) {
			last = now
			c.s.alarms.After(&alarm, stuckAfter, look)
			return
		}
		stuck = true
		c.s.watch.parked.Add(1)
		o.Stuck()
	}
	look()
}

func copyChunks(r *directcopy.Reservation, pid int, chunks *atomic.Int64) error {
	for {
		done, err := r.CopyChunk(pid)
		if done || err != nil {
			return err
		}
		chunks.Add(1)
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
	tick := time.NewTicker(stuckAfter)
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
	w.parked.Add(1)
	go w.s.loop(w.owner.Stuck)
}
