package supervisor

import (
	"syscall"
	"time"

	"github.com/aem-exec/aem-exec/internal/timing"
	"github.com/aem-exec/aem-exec/limits"
	"github.com/aem-exec/aem-exec/source"
)

// kernelLimits are those of an app's limits that the kernel holds it to and counts how often it had to. Most of them are
// told by a descriptor. What none tells of is looked for while something of the app runs, and once more when it has
// ended: an app that does nothing costs nothing.
type kernelLimits struct {
	gauges  []*gauge
	watches []source.Watch // of its group's signals
	untold  bool           // there are some that no descriptor tells of
	late    string         // the limit whose hits are told of before they are counted; "" for none
	owed    int            // looks that are left for a hit that was told of and is not seen
	notices int            // handlers of the supervisor's own events that run
	look    timing.Alarm
}

// The kernel's counts are looked at every so often while there is a reason to. On v1 it tells of an OOM kill before it
// counts it, however much later that is on a busy host: they are looked at soon, and again after waits that double up to
// the usual one, until a hit is seen. A signal without one, as of memory that was found after all, ends after ten seconds.
const (
	lookEvery = time.Second
	lookSoon  = 20 * time.Millisecond
	owedLooks = 16
)

// kernelErrno is what a process is told that runs into a limit, 0 where it is only slowed down.
func kernelErrno(limit string) syscall.Errno {
	switch limit {
	case "cpu", "memory_high":
		return 0
	case "pids":
		return syscall.EAGAIN
	}
	return syscall.ENOMEM
}

// watchKernel begins to watch the app's group.
func (s *Supervisor) watchKernel(a *app) error {
	group, k := a.work.Group, &a.kernel
	k.untold = group.Untold()
	for _, limit := range group.Counted() {
		k.gauges = append(k.gauges, &gauge{Gauge: limits.Gauge{Name: limit}, errno: kernelErrno(limit)})
	}
	k.value(a.spec.Limits)
	for _, signal := range group.Signals() {
		looks := 1
		if signal.Early != "" {
			k.late, looks = signal.Early, owedLooks
		}
		w, err := s.poller.Add(signal.FD, signal.Events, source.WatcherFunc(func(uint32) { s.signalled(a, looks) }))
		if err != nil {
			return err
		}
		k.watches = append(k.watches, w)
	}
	return nil
}

// value has its limits told with what they are set to.
func (k *kernelLimits) value(l limits.Limits) {
	for _, v := range l.Values() {
		for _, g := range k.gauges {
			if g.Name == v.Limit {
				g.value = v.Text()
			}
		}
	}
}

// signalled takes what the kernel tells of the app's group, and looks for it so often.
func (s *Supervisor) signalled(a *app, looks int) {
	if err := a.work.Group.Clear(); err != nil {
		s.log.Error("events of limits are lost", "app", a.spec.Name, "err", err)
	}
	a.kernel.owed = max(a.kernel.owed, looks)
	s.lookAndAgain(a, lookSoon)
}

// runs notes that something of the app runs, so that what the kernel tells nobody is looked for.
func (s *Supervisor) runs(a *app) {
	if a.kernel.untold {
		s.lookLater(a)
	}
}

func (s *Supervisor) lookLater(a *app) {
	if !a.kernel.look.Set() {
		s.lookAfter(a, lookEvery)
	}
}

func (s *Supervisor) lookAfter(a *app, wait time.Duration) {
	s.alarms.After(&a.kernel.look, wait, func() { s.lookAndAgain(a, min(2*wait, lookEvery)) })
}

// lookAndAgain looks, and again after a wait while a hit is owed, or later while something runs that none will tell of.
func (s *Supervisor) lookAndAgain(a *app, wait time.Duration) {
	k := &a.kernel
	if k.owed > 0 {
		k.owed--
		for _, p := range a.pools {
			p.OutOfMemory()
		}
	}
	if s.look(a); k.owed > 0 {
		s.lookAfter(a, wait)
		return
	}
	for _, p := range a.pools {
		if k.untold && p.Running() > 0 {
			s.lookLater(a)
			return
		}
	}
}

// look finds out which limits were reached since it was done before: they are told. Those that were not are not reached
// any more.
func (s *Supervisor) look(a *app) {
	for _, h := range a.work.Group.Hits() {
		g := a.gauge(h.Limit)
		if h.Times <= g.seen {
			g.Clear()
			continue
		}
		if h.Limit == a.kernel.late {
			a.kernel.owed = 0
		}
		more := uint64(h.Times-g.seen) - 1 // Reach counts one
		g.seen = h.Times
		g.Clear()
		g.Reached += more
		cause := ""
		if a.kernel.notices > 0 { // then it may be what is told that makes it be told
			cause = noticePrefix
		}
		s.reached(a, g, cause)
		s.lookLater(a)
	}
}
