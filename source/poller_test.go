package source

import (
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/internal/sys"
)

func newPoller(t *testing.T) *Poller {
	t.Helper()
	p, err := NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// readable is a descriptor that is ready and stays so.
func readable(t *testing.T) int {
	t.Helper()
	fd, err := sys.Eventfd()
	if err == nil {
		err = sys.EventfdAdd(fd)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sys.Close(fd) })
	return fd
}

// hungUp is a descriptor with a condition that no mask hides.
func hungUp(t *testing.T) int {
	t.Helper()
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	sys.Close(ends[1])
	t.Cleanup(func() { sys.Close(ends[0]) })
	return ends[0]
}

func add(t *testing.T, p *Poller, fd int, ready func(events uint32)) Watch {
	t.Helper()
	w, err := p.Add(fd, sys.EPOLLIN, WatcherFunc(ready))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func wait(t *testing.T, p *Poller) {
	t.Helper()
	if err := p.Wait(0); err != nil {
		t.Fatal(err)
	}
}

func TestPollerTellsWhatIsReadyAgainAndAgain(t *testing.T) {
	p, told := newPoller(t), 0
	add(t, p, readable(t), func(events uint32) {
		if events != sys.EPOLLIN {
			t.Errorf("events %#x", events)
		}
		told++
	})
	for range 3 {
		wait(t, p)
	}
	if told != 3 {
		t.Errorf("told %d times, want 3", told)
	}
}

func TestWaitTimesOut(t *testing.T) {
	p, began := newPoller(t), time.Now()
	const timeout = 2 * time.Millisecond
	for time.Since(began) < timeout { // a signal may end a wait early
		if err := p.Wait(timeout); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took > patience {
		t.Errorf("waited %v, want %v", took, timeout)
	}
}

// TestHeldDescriptorIsNotPolled: even a hang-up, which cannot be masked, must not wake the loop.
func TestHeldDescriptorIsNotPolled(t *testing.T) {
	p, told := newPoller(t), 0
	w := add(t, p, hungUp(t), func(events uint32) {
		if events&sys.EPOLLHUP == 0 {
			t.Errorf("events %#x", events)
		}
		told++
	})
	wait(t, p)
	p.Hold(w)
	p.Hold(w)
	var batch [1]sys.EpollEvent
	if n, err := sys.EpollWait(p.epfd, batch[:], 0); n != 0 || err != nil {
		t.Errorf("the kernel reports %d events of a held descriptor, %v", n, err)
	}
	for range 2 {
		if err := p.Resume(w); err != nil {
			t.Fatal(err)
		}
	}
	wait(t, p)
	if told != 2 {
		t.Errorf("told %d times, want once before the hold and once after", told)
	}
}

// TestRemovedInsideABatchReachesNobody has several descriptors ready at once; the first that is told removes all the
// others, and puts another watch in the place of one.
func TestRemovedInsideABatchReachesNobody(t *testing.T) {
	for name, quit := range map[string]func(*Poller, Watch){"removed": (*Poller).Remove, "held": (*Poller).Hold} {
		t.Run(name, func(t *testing.T) {
			p, told, strangers := newPoller(t), 0, 0
			quiet, err := sys.Eventfd()
			if err != nil {
				t.Fatal(err)
			}
			defer sys.Close(quiet)
			var watches []Watch
			for i := range 3 {
				watches = append(watches, add(t, p, readable(t), func(uint32) {
					told++
					for j, w := range watches {
						if j != i {
							quit(p, w)
						}
					}
					add(t, p, quiet, func(uint32) { strangers++ })
				}))
			}
			wait(t, p)
			if told != 1 || strangers != 0 {
				t.Errorf("%d of the batch were told, and %d that are not ready", told, strangers)
			}
		})
	}
}

// TestOldWatchTouchesNoStranger has a watch whose place is another's now.
func TestOldWatchTouchesNoStranger(t *testing.T) {
	p, told := newPoller(t), 0
	fd := readable(t)
	old := add(t, p, fd, func(uint32) { t.Error("the removed watch was told") })
	p.Remove(old)
	if w := add(t, p, fd, func(uint32) { told++ }); uint32(w) != uint32(old) || w == old {
		t.Fatalf("watches %#x and %#x, want one place and two generations", old, w)
	}
	p.Hold(old)
	p.Remove(old)
	p.Remove(0)
	if err := p.Resume(old); err != nil {
		t.Error(err)
	}
	wait(t, p)
	if told != 1 {
		t.Errorf("told %d times, want once", told)
	}
}

func TestPollerRefusesWhatCannotBePolled(t *testing.T) {
	p := newPoller(t)
	if w, err := p.Add(-1, sys.EPOLLIN, WatcherFunc(nil)); err == nil {
		t.Errorf("it watches nothing as %#x", w)
	}
	if w := add(t, p, readable(t), func(uint32) {}); uint32(w) != 0 {
		t.Errorf("the place of the refused one is lost: %#x", w)
	}
}

// TestBatchIsBounded_R031 has more ready than one turn takes, and wants the others told in the next.
func TestBatchIsBounded_R031(t *testing.T) {
	p, told := newPoller(t), map[int]int{}
	for i := range batchEvents + 10 {
		add(t, p, readable(t), func(uint32) { told[i]++ })
	}
	wait(t, p)
	if len(told) != batchEvents {
		t.Errorf("one turn told %d", len(told))
	}
	wait(t, p)
	if len(told) != batchEvents+10 {
		t.Errorf("two turns told %d", len(told))
	}
}

// TestBriefWaitKnowsIdleness waits for something that is there, for nothing, and for less than the whole of it.
func TestBriefWaitKnowsIdleness(t *testing.T) {
	p, told := newPoller(t), 0
	brief := func(timeout time.Duration) bool {
		t.Helper()
		idle, err := p.WaitBriefly(timeout)
		if err != nil {
			t.Fatal(err)
		}
		return idle
	}
	if brief(briefWait / 100) {
		t.Error("idle after less than briefWait")
	}
	for !brief(-1) { // a signal may end a wait early
	}
	w := add(t, p, readable(t), func(uint32) { told++ })
	if brief(-1) || told != 1 {
		t.Errorf("idle, or told %d times, with something there", told)
	}
	p.Remove(w)
}
