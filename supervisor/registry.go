package supervisor

import (
	"iter"

	"github.com/aem-exec/aem-exec/aem"
)

// job is one live registration: one event x one handler. It holds no pointers, so that the garbage collector does not
// look at a million of them. Its states, and what leads from one to the other:
//
//	stopped --start--> armed --stop--> stopped
//	armed --a hold--> held or failing --its end--> armed
//	armed --the event of a job that runs once has its fate--> ended
//
// Holds are kept apart from whether the job is started, so that a job that is stopped while held is armed, and not
// held for ever, when it is started again.
type job struct {
	id           aem.JobID
	registration uint32 // place in registry.registrations
	holds        holds
	started      bool
	ended        bool
	priority     aem.Priority
	waiting      uint64
	running      uint64
	detected     uint64
	done         uint64
	failed       uint64
	expired      uint64
	shed         uint64
	last         int64 // time of its last event, ns since 1970
	heldSince    int64
}

// holds is a set of reasons for a job not to take more.
type holds uint8

const (
	holdLimit  holds = 1 << iota // its app is at a limit
	holdAgents                   // no agent can be made
	holdSource                   // detection fails at the moment; its source tries again by itself
)

func (j *job) state() aem.State {
	switch {
	case j.ended:
		return aem.Ended
	case !j.started:
		return aem.Stopped
	case j.holds&(holdAgents|holdSource) != 0:
		return aem.Failing
	case j.holds != 0:
		return aem.Held
	}
	return aem.Armed
}

func (j *job) counts() aem.Counts {
	return aem.Counts{
		Detected: j.detected, Done: j.done, Failed: j.failed, Expired: j.expired, Shed: j.shed,
		Waiting: j.waiting, Running: j.running,
	}
}

// jobsPerChunk is how many jobs are made room for at once; a chunk never moves.
const jobsPerChunk = 256

// registry finds jobs by id, in constant time and without a map.
type registry struct {
	chunks        []*[jobsPerChunk]job
	generations   []uint32 // of each slot, also while it is free
	free          []uint32
	live          int
	registrations []*registration
}

// add makes a job, born stopped.
func (r *registry) add(reg *registration, priority aem.Priority) aem.JobID {
	slot := uint32(len(r.generations))
	if n := len(r.free); n > 0 {
		slot, r.free = r.free[n-1], r.free[:n-1]
	} else {
		r.generations = append(r.generations, 0)
		if slot%jobsPerChunk == 0 {
			r.chunks = append(r.chunks, new([jobsPerChunk]job))
		}
	}
	r.generations[slot]++
	id := aem.NewJobID(slot, r.generations[slot])
	r.live++
	reg.place = uint32(len(r.registrations))
	r.registrations = append(r.registrations, reg)
	*r.slot(slot) = job{id: id, registration: reg.place, priority: priority}
	return id
}

// get finds a job, nil when it was removed.
func (r *registry) get(id aem.JobID) *job {
	slot := id.Slot()
	if int(slot) >= len(r.generations) {
		return nil
	}
	if j := r.slot(slot); j.id == id && id != 0 {
		return j
	}
	return nil
}

// remove ends a job; its id is never used again.
func (r *registry) remove(id aem.JobID) {
	j := r.get(id)
	r.registrations[j.registration] = nil
	*j = job{}
	r.live--
	r.free = append(r.free, id.Slot())
}

func (r *registry) slot(slot uint32) *job { return &r.chunks[slot/jobsPerChunk][slot%jobsPerChunk] }

func (r *registry) registration(j *job) *registration { return r.registrations[j.registration] }

func (r *registry) count() int { return r.live }

// all goes through the jobs in the order of their slots.
func (r *registry) all() iter.Seq[aem.JobID] {
	return func(yield func(aem.JobID) bool) {
		for slot := range r.generations {
			if id := r.slot(uint32(slot)).id; id != 0 && !yield(id) {
				return
			}
		}
	}
}
