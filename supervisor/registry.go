package supervisor

import (
	"iter"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/slab"
)

// job is one live registration: one event x one handler. It holds no pointers, so that the garbage collector does not
// look at a million of them. Its states, and what leads from one to the other, are in jobstate.go.
type job struct {
	id           aem.JobID // the last holder's while the slot is free
	registration uint32    // place in registry.registrations
	more         uint32    // place in registry.more, +1; 0: none
	holds        holds
	live         bool
	started      bool
	ended        bool
	narrowed     bool // its filter is in Supervisor.narrowed
	priority     aem.Priority
	waiting      uint64
	running      uint64
	detected     uint64
	done         uint64
	last         int64 // time of its last event, ns since 1970
}

// more is what most jobs never need, so that an idle one takes 64 bytes.
type more struct {
	failed    uint64
	expired   uint64
	shed      uint64
	filtered  uint64 // arrivals that were not meant, and are in no other count
	missed    uint64 // of the detected, those that did not start within the deadline
	heldSince int64
}

// holds is a set of reasons for a job not to take more.
type holds uint8

const (
	holdLimit  holds = 1 << iota // its app is at a limit
	holdAgents                   // no agent can be made
	holdSource                   // detection fails at the moment; its source tries again by itself
)

// registry finds jobs by id, in constant time and without a map.
type registry struct {
	jobs  slab.Slab[job]
	slots uint32   // of jobs, so far
	free  []uint32 // of them
	live  int

	more     slab.Slab[more]
	moreUsed uint32
	moreFree []uint32

	registrations []*registration // nil: its jobs are gone
	placesFree    []uint32        // of registrations
}

// declare keeps a registration for the jobs of it.
func (r *registry) declare(reg *registration) {
	if n := len(r.placesFree); n > 0 {
		reg.place, r.placesFree = r.placesFree[n-1], r.placesFree[:n-1]
		r.registrations[reg.place] = reg
		return
	}
	reg.place = uint32(len(r.registrations))
	r.registrations = append(r.registrations, reg)
}

// add makes a job of a declared registration, born stopped.
func (r *registry) add(reg *registration, priority aem.Priority) aem.JobID {
	slot := r.slots
	if n := len(r.free); n > 0 {
		slot, r.free = r.free[n-1], r.free[:n-1]
	} else {
		r.slots++
	}
	j := r.jobs.Make(slot)
	*j = job{id: aem.NewJobID(slot, j.id.Generation()+1), live: true, registration: reg.place, priority: priority}
	r.live++
	reg.jobs++
	return j.id
}

// get finds a job, nil when it was removed.
func (r *registry) get(id aem.JobID) *job {
	if j := r.jobs.At(id.Slot()); j != nil && j.live && j.id == id {
		return j
	}
	return nil
}

// undeclare forgets a registration without jobs.
func (r *registry) undeclare(reg *registration) {
	r.registrations[reg.place] = nil
	r.placesFree = append(r.placesFree, reg.place)
}

// remove ends a job; its id is never used again.
func (r *registry) remove(id aem.JobID) {
	j := r.get(id)
	r.registration(j).jobs--
	if j.more != 0 {
		r.moreFree = append(r.moreFree, j.more-1)
	}
	*j = job{id: j.id}
	r.live--
	r.free = append(r.free, id.Slot())
}

func (r *registry) registration(j *job) *registration { return r.registrations[j.registration] }

// rest is where what most jobs never need is written to.
func (r *registry) rest(j *job) *more {
	if j.more == 0 {
		place := r.moreUsed
		if n := len(r.moreFree); n > 0 {
			place, r.moreFree = r.moreFree[n-1], r.moreFree[:n-1]
		} else {
			r.moreUsed++
		}
		*r.more.Make(place) = more{}
		j.more = place + 1
	}
	return r.more.At(j.more - 1)
}

// look is a copy of it, for reading.
func (r *registry) look(j *job) more {
	if j.more == 0 {
		return more{}
	}
	return *r.more.At(j.more - 1)
}

func (r *registry) counts(j *job) aem.Counts {
	m := r.look(j)
	return aem.Counts{
		Detected: j.detected, Done: j.done, Failed: m.failed, Expired: m.expired, Shed: m.shed,
		Waiting: j.waiting, Running: j.running,
	}
}

func (r *registry) count() int { return r.live }

// all goes through the jobs in the order of their slots.
func (r *registry) all() iter.Seq[aem.JobID] {
	return func(yield func(aem.JobID) bool) {
		for slot := range r.slots {
			if j := r.jobs.At(slot); j.live && !yield(j.id) {
				return
			}
		}
	}
}
