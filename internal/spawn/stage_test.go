package spawn

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/aem-exec/aem-exec/internal/sys"
)

func TestStageTakesARowOfFreeNumbers(t *testing.T) {
	taken, err := sys.Dup(null(t), 40)
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close(taken)
	stage, err := NewStage(3)
	if err != nil {
		t.Fatal(err)
	}
	defer stage.Close()
	first := stage.sets[0]
	if first != taken+1 {
		t.Errorf("the row starts at %d, want %d, behind the number taken", first, taken+1)
	}
	want, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", stage.idle))
	for slot := first; slot < first+3*setSize; slot++ {
		if got, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", slot)); got != want {
			t.Errorf("slot %d is %q, want %q", slot, got, want)
		}
	}
}

// TestStagesMadeAtOnceRunAway makes two at once: neither takes numbers of the row that the other is about to have.
func TestStagesMadeAtOnceRunAway(t *testing.T) {
	const sets = 20
	for range 50 {
		var stages [2]*Stage
		var both sync.WaitGroup
		for i := range stages {
			both.Go(func() {
				var err error
				if stages[i], err = NewStage(sets); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		for _, s := range stages {
			if s == nil {
				return
			}
			if most := MaxFDs + 2*sets*setSize; s.sets[0] > most {
				t.Errorf("a row starts at %d, want %d at most", s.sets[0], most)
			}
			s.Close()
		}
	}
}

func TestStageGivesTheLowestFreeSet(t *testing.T) {
	stage, err := NewStage(3)
	if err != nil {
		t.Fatal(err)
	}
	defer stage.Close()
	a, b, c := stage.take(), stage.take(), stage.take()
	if b != a+setSize || c != b+setSize {
		t.Errorf("sets at %d %d %d, want %d apart", a, b, c, setSize)
	}
	stage.put(c)
	stage.put(a)
	if got := stage.take(); got != a {
		t.Errorf("got the set at %d, want the lowest, %d", got, a)
	}
}

// TestStageGrows gives a stage more sets than it began with, while a spawn waits for one.
func TestStageGrows(t *testing.T) {
	stage, err := NewStage(1)
	if err != nil {
		t.Fatal(err)
	}
	defer stage.Close()
	a := stage.take()
	got := make(chan int)
	go func() { got <- stage.take() }()
	if err := stage.Grow(3); err != nil {
		t.Fatal(err)
	}
	b := <-got
	c := stage.take()
	if b == a || c == a || b == c {
		t.Errorf("sets at %d %d %d", a, b, c)
	}
	stage.put(b)
	if again := stage.take(); again != b {
		t.Errorf("got the set at %d, want that which is free, %d", again, b)
	}
	if err := errors.Join(stage.Grow(2), stage.Grow(MaxSets+1)); err != nil || len(stage.sets) != MaxSets {
		t.Errorf("%d sets, %v", len(stage.sets), err)
	}
}

func TestStageRefusesWhatItCannotHold(t *testing.T) {
	for _, sets := range []int{0, MaxSets + 1} {
		if stage, err := NewStage(sets); err == nil {
			stage.Close()
			t.Errorf("%d sets: no error", sets)
		}
	}
	stage, err := NewStage(MaxSets)
	if err != nil {
		t.Fatal(err)
	}
	stage.Close()
}

func TestLaneRunsInOrderAndRefusesWhenFull(t *testing.T) {
	stage, err := NewStage(1)
	if err != nil {
		t.Fatal(err)
	}
	defer stage.Close()
	lane := openLane(t, stage, 2)
	var ran []int
	started, proceed := make(chan struct{}), make(chan struct{})
	lane.Submit(func(*Maker) { close(started); <-proceed })
	<-started
	for i, want := range []bool{true, true, false} {
		if got := lane.Submit(func(*Maker) { ran = append(ran, i) }); got != want {
			t.Errorf("submit %d: got %t, want %t", i, got, want)
		}
	}
	close(proceed)
	lane.Close()
	if fmt.Sprint(ran) != "[0 1]" {
		t.Errorf("ran %v, want all that was taken, in order", ran)
	}
	if lane.Submit(func(*Maker) {}) {
		t.Error("a closed lane took a function")
	}
	lane.Close() // again: nothing
}
