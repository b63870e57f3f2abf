package source

import (
	"slices"
	"testing"

	"github.com/aem-exec/aem-exec/aem"
)

// heard is what one call of a roster's detect was given.
type heard struct {
	job   aem.JobID
	value int
	lost  int64
}

func newTestRoster(jobs ...aem.JobID) (r roster[int], all *[]heard) {
	all = new([]heard)
	r = newRoster(func(j *entry[int], v int, lost int64) { *all = append(*all, heard{j.id, v, lost}) })
	for _, id := range jobs {
		r.add(id, nil)
	}
	return r, all
}

func wanted(Spec, *int) bool { return true }

func TestRosterTellsInOrder(t *testing.T) {
	r, all := newTestRoster(7, 3)
	r.tell([]int{1, 2, 3}, 5, func(_ Spec, v *int) bool { return *v != 2 })
	if want := []heard{{7, 1, 0}, {7, 3, 0}, {7, 0, 5}, {3, 1, 0}, {3, 3, 0}, {3, 0, 5}}; !slices.Equal(*all, want) {
		t.Errorf("%v, want %v", *all, want)
	}
}

// TestRosterWhileItTells: a job that is stopped by one of a batch gets no more of it, and neither does one that another stops.
func TestRosterWhileItTells(t *testing.T) {
	r, all := newTestRoster(1, 2)
	detect := r.detect
	r.detect = func(j *entry[int], v int, lost int64) {
		detect(j, v, lost)
		if v == 2 {
			r.remove(1)
			r.remove(2)
			r.add(3, nil)
		}
	}
	r.tell([]int{1, 2, 3}, 1, wanted)
	if want := []heard{{1, 1, 0}, {1, 2, 0}}; !slices.Equal(*all, want) {
		t.Errorf("%v, want %v", *all, want)
	}
	if left := slices.Collect(r.started()); r.remove(1) != nil || len(left) != 1 || left[0].id != 3 {
		t.Errorf("%d jobs are left", len(left))
	}
}

// TestRosterKeepsForWhoIsHeld_R094: up to a number, then it counts; what is lost while a job is held is counted with it.
func TestRosterKeepsForWhoIsHeld_R094(t *testing.T) {
	r, all := newTestRoster(1, 2)
	r.Hold(1)
	batch := make([]int, keptArrivals+3)
	for i := range batch {
		batch[i] = i
	}
	r.tell(batch, 4, wanted)
	if n := r.Kept(1); n != keptArrivals+3+4 || r.Kept(2) != 0 || len(*all) != keptArrivals+4 {
		t.Errorf("%d are kept, %d were told", n, len(*all))
	}
	*all = nil
	r.Resume(1)
	if n := len(*all); n != keptArrivals+1 || (*all)[n-1] != (heard{1, 0, 7}) || (*all)[n-2] != (heard{1, keptArrivals - 1, 0}) || r.Kept(1) != 0 {
		t.Errorf("%d were told", n)
	}
}

// TestRosterForgets: jobs that come and go leave nothing behind, and those that stay are told in their order.
func TestRosterForgets(t *testing.T) {
	const stay, pass = 10, 10_000
	r, all := newTestRoster()
	for id := range aem.JobID(stay) {
		r.add(id, nil)
	}
	for id := range aem.JobID(pass) {
		r.add(stay+id, nil)
		if r.remove(stay+id) == nil {
			t.Fatal("it is not there")
		}
	}
	if len(r.order) > 2*stay {
		t.Errorf("%d are listed of %d", len(r.order), stay)
	}
	r.tell([]int{5}, 0, wanted)
	for i, h := range *all {
		if h.job != aem.JobID(i) || len(*all) != stay {
			t.Fatalf("told %v", *all)
		}
	}
}
