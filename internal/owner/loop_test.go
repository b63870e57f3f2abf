package owner

import (
	"slices"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// TestLoopWaitsForDescriptorsAndAsking has an owner that is woken by both, and ends when it is told.
func TestLoopWaitsForDescriptorsAndAsking(t *testing.T) {
	var reported []uint64
	l := NewLoop(func(batch []uint64) { reported = append(reported, batch...) })
	one, err := sys.Eventfd()
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close(one)
	if err := l.Open(); err != nil {
		t.Fatal(err)
	}
	if err := l.Poll(one, sys.EPOLLIN, 7); err != nil {
		t.Fatal(err)
	}
	turns := make(chan bool)
	go func() {
		defer l.End()
		for l.Turn(-1, func(data uint64) { l.Tell(data); l.Unpoll(one) }) {
			l.Flush()
			turns <- true
		}
		close(turns)
	}()
	sys.EventfdAdd(one) //nolint:errcheck // its counter cannot be full
	<-turns
	asked := false // which it would not come to, if it still waited for what is ready
	l.Ask(func() { asked = true })
	<-turns
	if !asked || !slices.Equal(reported, []uint64{7}) {
		t.Errorf("asked %t, reported %v", asked, reported)
	}
	over := l.Stop()
	if _, more := <-turns; more {
		t.Error("it had a turn after it was told to end")
	}
	<-over
}

// TestLoopHasPatience: without anything to do a turn takes as long as it may, and no longer.
func TestLoopHasPatience(t *testing.T) {
	l := NewLoop(func([]int) {})
	defer l.End()
	if err := l.Open(); err != nil {
		t.Fatal(err)
	}
	const long = 10 * time.Millisecond
	if began := time.Now(); !l.Turn(long, func(uint64) { t.Error("something is ready") }) || time.Since(began) < long {
		t.Errorf("a turn took %v", time.Since(began))
	}
}
