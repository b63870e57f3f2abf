package source

import "github.com/aem-exec/aem-exec/aem"

// watching is the started jobs of a source that has a watcher on a goroutine of its own. What that reports is detected on the
// loop; the watcher waits for it, and the kernel keeps what comes meanwhile.
type watching[T any] struct {
	roster[T]
	env           Env
	of            func(v T) (view uint64)
	views         map[uint64]*entry[T] // a job that is started again is another view: what is on its way is not for it
	numbers       map[aem.JobID]uint64
	last          uint64 // view
	taken, closed chan struct{}
}

func newWatching[T any](e Env, of func(v T) uint64, detect func(j *entry[T], v T, lost int64)) watching[T] {
	return watching[T]{roster: newRoster(detect), env: e, of: of, views: map[uint64]*entry[T]{}, numbers: map[aem.JobID]uint64{},
		taken: make(chan struct{}, 1), closed: make(chan struct{})}
}

// begin takes a job in, under the number of a view.
func (w *watching[T]) begin(id aem.JobID, spec Spec) (view uint64) {
	w.last++
	w.views[w.last], w.numbers[id] = w.add(id, spec), w.last
	return w.last
}

// end lets a job go; it reports false when there is none.
func (w *watching[T]) end(id aem.JobID) (view uint64, ok bool) {
	view, ok = w.numbers[id]
	w.remove(id)
	delete(w.views, view)
	delete(w.numbers, id)
	return view, ok
}

// report is called by the watcher.
func (w *watching[T]) report(batch []T) {
	w.env.Post(func() { w.take(batch) })
	select {
	case <-w.taken:
	case <-w.closed:
	}
}

func (w *watching[T]) take(batch []T) {
	select {
	case <-w.closed:
		return // the batch is the watcher's again
	default:
	}
	for _, v := range batch {
		if j := w.views[w.of(v)]; j != nil { // nil: it was stopped meanwhile
			w.give(j, v)
		}
	}
	w.taken <- struct{}{}
}

// trouble is called by the watcher, of what it cannot watch at the moment.
func (w *watching[T]) trouble(view uint64, err error) {
	w.env.Post(func() {
		if j := w.views[view]; j != nil {
			w.env.Sink.Trouble(j.id, err)
		}
	})
}
