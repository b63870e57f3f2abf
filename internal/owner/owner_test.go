package owner

import (
	"slices"
	"sync"
	"testing"
)

// TestOwnerObeysAndReports has many ask at once: each is obeyed once and in its order, and what is told comes in batches, in its
// order, never while one is being taken.
func TestOwnerObeysAndReports(t *testing.T) {
	const askers, times = 8, 1000
	bell := make(chan struct{}, 1)
	var reported []int
	taking := false
	o := New(func() {
		select {
		case bell <- struct{}{}:
		default:
		}
	}, func(batch []int) {
		if taking || len(batch) == 0 || len(batch) > BatchMost {
			t.Errorf("a batch of %d, while another is taken: %t", len(batch), taking)
		}
		taking = true
		reported = append(reported, batch...)
		taking = false
	})
	stop, done := false, make(chan struct{})
	go func() {
		defer close(done)
		for !stop {
			<-bell
			o.Obey()
			o.Flush()
		}
	}()
	var group sync.WaitGroup
	for a := range askers {
		group.Go(func() {
			for n := range times {
				o.Ask(func() { o.Tell(a*times + n) })
			}
		})
	}
	group.Wait()
	o.Wait()
	o.Ask(func() { stop = true })
	<-done
	last := map[int]int{}
	for _, v := range reported {
		if before, ok := last[v/times]; ok && v <= before {
			t.Fatalf("%d came after %d", v, before)
		}
		last[v/times] = v
	}
	slices.Sort(reported)
	if len(slices.Compact(reported)) != askers*times {
		t.Errorf("%d of %d were reported", len(reported), askers*times)
	}
}
