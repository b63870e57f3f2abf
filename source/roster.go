package source

import (
	"iter"
	"slices"

	"github.com/aem-exec/aem-exec/aem"
)

// roster is the started jobs of a source whose object of the kernel is everybody's, and never held for one: what comes for
// a job that is held is kept here.
type roster[T any] struct {
	jobs   map[aem.JobID]*entry[T]
	order  []*entry[T]                        // in which they were started, with some that are gone
	detect func(j *entry[T], v T, lost int64) // one of what comes; with lost, so many that are lost, and v is nothing
}

// entry is one started job.
type entry[T any] struct {
	backlog[T]
	id   aem.JobID
	spec Spec
}

func newRoster[T any](detect func(j *entry[T], v T, lost int64)) roster[T] {
	return roster[T]{jobs: map[aem.JobID]*entry[T]{}, detect: detect}
}

// add takes a job in.
func (r *roster[T]) add(id aem.JobID, spec Spec) *entry[T] {
	j := &entry[T]{id: id, spec: spec}
	r.jobs[id], r.order = j, append(r.order, j)
	return j
}

// remove lets a job go, nil if there is none. Whoever has it still may go on giving: it is held for ever.
func (r *roster[T]) remove(id aem.JobID) *entry[T] {
	j := r.jobs[id]
	if j == nil {
		return nil
	}
	j.held = true
	delete(r.jobs, id)
	if len(r.order) > 2*len(r.jobs) { // a new list: something may be going through the old one
		r.order = slices.Collect(r.started())
	}
	return j
}

// started are the jobs, in the order in which they were started.
func (r *roster[T]) started() iter.Seq[*entry[T]] {
	return func(yield func(*entry[T]) bool) {
		for _, j := range r.order {
			if r.jobs[j.id] == j && !yield(j) {
				return
			}
		}
	}
}

// Hold keeps what comes for a job.
func (r *roster[T]) Hold(id aem.JobID) {
	if j := r.jobs[id]; j != nil {
		j.held = true
	}
}

// Resume detects what was kept, until the job is held again.
func (r *roster[T]) Resume(id aem.JobID) {
	if j := r.jobs[id]; j != nil {
		var nothing T
		j.resume(func(v T) { r.detect(j, v, 0) }, func(lost int64) { r.detect(j, nothing, lost) })
	}
}

// Kept is how many arrivals wait for a held job.
func (r *roster[T]) Kept(id aem.JobID) uint64 {
	if j := r.jobs[id]; j != nil {
		return j.count()
	}
	return 0
}

// give detects something for a job, or keeps it.
func (r *roster[T]) give(j *entry[T], v T) {
	if !j.keep(v) {
		r.detect(j, v, 0)
	}
}

// lose tells a job that something is lost, or that of what is kept for it.
func (r *roster[T]) lose(j *entry[T], lost int64) {
	if j.held {
		j.lost += lost
		return
	}
	var nothing T
	r.detect(j, nothing, lost)
}

// tell gives each job what it wants of a batch, and then says how much is lost.
func (r *roster[T]) tell(batch []T, lost int64, wants func(spec Spec, v *T) bool) {
	for j := range r.started() {
		for i := range batch {
			if wants(j.spec, &batch[i]) {
				r.give(j, batch[i])
			}
		}
		if lost > 0 {
			r.lose(j, lost)
		}
	}
}
