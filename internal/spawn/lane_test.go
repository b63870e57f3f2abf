package spawn

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// on has a function done on the lane, and returns the thread that did it.
func (l *Lane) on(t *testing.T, f func(*Maker)) (tid int) {
	t.Helper()
	done := make(chan int)
	if !l.Submit(func(m *Maker) {
		f(m)
		done <- sys.Gettid()
	}) {
		t.Fatal("the lane took nothing")
	}
	return <-done
}

// ended waits for the end of the lane's thread.
func (l *Lane) ended(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		l.mu.Lock()
		gone := l.done == nil
		l.mu.Unlock()
		if gone {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the thread is there still")
		}
	}
}

// TestIdleLaneEndsItsThread_R033: the next function has another one, which has begun in the same way.
func TestIdleLaneEndsItsThread_R033(t *testing.T) {
	stage, err := NewStage(1)
	if err != nil {
		t.Fatal(err)
	}
	defer stage.Close()
	began := 0
	lane, err := stage.NewLane(4, func(*Maker) { began++ })
	if err != nil {
		t.Fatal(err)
	}
	defer lane.Close()
	nothing := func(*Maker) {}
	first := lane.on(t, nothing)
	lane.look() // it was used since the look before
	if again := lane.on(t, nothing); again != first || began != 1 {
		t.Errorf("thread %d, then %d, which began %d times", first, again, began)
	}
	lane.look()
	lane.look()
	lane.ended(t)
	lane.look() // there is nobody
	if lane.on(t, nothing); began != 2 {
		t.Errorf("threads began %d times", began)
	}
	lane.look()
	lane.look()
	lane.ended(t)
}

// TestKeptThreadStays has nothing to do on a lane whose thread has something of its own.
func TestKeptThreadStays(t *testing.T) {
	stage, err := NewStage(1)
	if err != nil {
		t.Fatal(err)
	}
	defer stage.Close()
	lane, err := stage.NewLane(4, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer lane.Close()
	lane.KeepThread()
	nothing := func(*Maker) {}
	first := lane.on(t, nothing)
	for range 3 {
		lane.look()
	}
	if again := lane.on(t, nothing); again != first {
		t.Errorf("thread %d, then %d", first, again)
	}
}

// TestLaneWithSomethingToDoIsNotIdle has a look while a function runs, and while another waits behind it.
func TestLaneWithSomethingToDoIsNotIdle(t *testing.T) {
	stage, err := NewStage(1)
	if err != nil {
		t.Fatal(err)
	}
	defer stage.Close()
	lane, err := stage.NewLane(4, nil)
	if err != nil {
		t.Fatal(err)
	}
	hold, ran := make(chan struct{}), make(chan struct{})
	lane.Submit(func(*Maker) { <-hold })
	lane.look()
	lane.look()
	lane.Submit(func(*Maker) { close(ran) })
	lane.look()
	close(hold)
	<-ran
	lane.Close()
	lane.look()
	if lane.Submit(func(*Maker) {}) {
		t.Error("a closed lane took a function")
	}
}

// TestEveryThreadOfALaneGivesUpItsBoundingSet: what a thread before it gave up is not given up by the next.
func TestEveryThreadOfALaneGivesUpItsBoundingSet(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	stage, err := NewStage(1)
	if err != nil {
		t.Fatal(err)
	}
	defer stage.Close()
	drop := true
	lane, err := stage.NewLane(4, func(m *Maker) {
		if drop {
			m.DropBounding(0)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer lane.Close()
	bounding := func() string {
		text, err := os.ReadFile("/proc/thread-self/status")
		if err != nil {
			t.Error(err)
		}
		_, set, _ := strings.Cut(string(text), "CapBnd:\t")
		set, _, _ = strings.Cut(set, "\n")
		return strings.Trim(set, "0")
	}
	for _, drop = range []bool{true, false, true} {
		lane.on(t, func(m *Maker) {
			if set := bounding(); (set == "") != drop || m.list.unbound != drop {
				t.Errorf("bounding set %q, the list leaves it out %v, want %v", set, m.list.unbound, drop)
			}
		})
		lane.look()
		lane.look()
		lane.ended(t)
	}
}
