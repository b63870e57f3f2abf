package source

import (
	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// shared is the started jobs of a source with one object of the kernel for all of them, which is there while a job is.
type shared[T any] struct {
	roster[T]
	env    Env
	object object
	watch  Watch
}

// object is what a source makes of the kernel, when the first job is started, and its descriptor.
type object interface {
	open() (fd int, err error)
	// want has it tell what the jobs ask for now.
	want() error
	Watcher // is told that it has something
	shut()
}

func newShared[T any](e Env, o object, detect func(j *entry[T], v T, lost int64)) shared[T] {
	return shared[T]{roster: newRoster(detect), env: e, object: o}
}

// Start begins to tell a job, and makes the object for the first one.
func (s *shared[T]) Start(id aem.JobID, spec Spec) error {
	if len(s.jobs) == 0 {
		fd, err := s.object.open()
		if err != nil {
			return err
		}
		if s.watch, err = s.env.Poller.Add(fd, sys.EPOLLIN, s.object); err != nil {
			s.object.shut()
			return err
		}
	}
	s.add(id, spec)
	err := s.object.want()
	if err != nil {
		s.Stop(id)
	}
	return err
}

// Stop ends that, and the object with the last one.
func (s *shared[T]) Stop(id aem.JobID) {
	j := s.remove(id)
	switch {
	case j == nil:
	case len(s.jobs) == 0:
		s.env.Poller.Remove(s.watch)
		s.object.shut()
	default:
		if err := s.object.want(); err != nil {
			s.env.Log.Warn("the kernel tells more than anybody wants", "type", j.spec.Type(), "err", err)
		}
	}
}

// Close stops all.
func (s *shared[T]) Close() {
	for id := range s.jobs {
		s.Stop(id)
	}
}
