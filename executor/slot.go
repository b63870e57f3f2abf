package executor

import (
	"errors"
	"log/slog"
	"strconv"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/limits"
)

// slot is the place of one process agent at a time: its leaf in the app's cgroup and the pipes that it writes to. It
// is made once, when first needed, and used again when nobody is left in it.
type slot struct {
	crew   *processes
	name   string
	leaf   *limits.Leaf
	stdout *Stream
	stderr *Stream

	// What the leaf had counted when its last process was gone.
	oomKills uint64
	pidsHits uint64
}

// open makes what a slot consists of. It runs on the app's lane.
func (s *slot) open() (err error) {
	w := s.crew.work
	if s.leaf == nil {
		if s.leaf, err = w.Group.Leaf(s.name); err != nil {
			return err
		}
		s.count()
	}
	if s.stderr != nil {
		return nil
	}
	app, handler := slog.String("app", w.App), slog.String("handler", s.crew.pool.spec.Name)
	if s.stdout, err = w.Scribe.NewStream(app, handler, slog.String("stream", "stdout")); err != nil {
		return err
	}
	if s.stderr, err = w.Scribe.NewStream(app, handler, slog.String("stream", "stderr")); err != nil {
		s.stdout.Close()
		s.stdout = nil
	}
	return err
}

// follow puts what is written from here on down to an activation, nil for none.
func (s *slot) follow(a *aem.Activation) {
	name, id := "", aem.EventID(0)
	if a != nil {
		name, id = a.Name, a.Event.ID
	}
	s.stdout.Follow(name, id)
	s.stderr.Follow(name, id)
}

// clean makes the slot fit for its next process and reports whether it is: nobody may be left in it. It runs on the
// app's lane.
func (s *slot) clean() bool {
	empty := s.vacate()
	if empty && s.stderr != nil { // it was opened
		s.stdout.Renew()
		s.stderr.Renew()
	}
	return empty
}

// vacate ends what the last process left behind, where the handler does not say to leave it, and reports whether
// nobody is left.
func (s *slot) vacate() bool {
	if s.leaf == nil {
		return true
	}
	empty, err := s.leaf.Empty()
	if !empty && err == nil && s.crew.pool.spec.Leftover == KillLeftover {
		s.leaf.Kill() //nolint:errcheck // what it could not kill keeps the slot from being used again
		empty, err = s.leaf.Empty()
	}
	if !empty {
		return errors.Is(err, limits.ErrNoLeaf)
	}
	if s.leaf.Spent() && s.leaf.Remove() == nil {
		s.leaf = nil // open makes another
	} else {
		s.count()
	}
	return true
}

// count remembers what the leaf has counted by now.
func (s *slot) count() {
	if s.crew.limited {
		s.oomKills, _ = s.leaf.OOMKills()
		s.pidsHits, _ = s.leaf.PIDsMaxHits()
	}
}

// blame tells whether memory or the number of processes ended or hindered the slot's process.
func (s *slot) blame(killed bool) aem.Reason {
	if !s.crew.limited || s.leaf == nil {
		return aem.ReasonNone
	}
	if kills, err := s.leaf.OOMKills(); killed && err == nil && kills > s.oomKills {
		return aem.ReasonOOM
	}
	if hits, err := s.leaf.PIDsMaxHits(); err == nil && hits > s.pidsHits {
		return aem.ReasonPIDs
	}
	return aem.ReasonNone
}

func (s *slot) close() {
	for _, stream := range []*Stream{s.stdout, s.stderr} {
		if stream != nil {
			stream.Close()
		}
	}
}

func slotName(handler string, n int) string { return handler + "-" + strconv.Itoa(n) }
