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

	of    *slot   // of a zygote's child: the zygote's, whose leaf it shares
	seats []*slot // of a zygote: those of its children that are free

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
	return s.openStreams()
}

func (s *slot) openStreams() (err error) {
	w := s.crew.work
	app, handler := slog.String("app", w.App), slog.String("handler", s.crew.pool.spec.Name)
	if s.stdout, err = w.Scribe.NewStream(1, app, handler, slog.String("stream", "stdout")); err != nil {
		return err
	}
	if s.stderr, err = w.Scribe.NewStream(2, app, handler, slog.String("stream", "stderr")); err != nil {
		s.stdout.Close()
		s.stdout = nil
	}
	return err
}

// follow puts what is written from here on down to an activation, nil for none. A program that attached itself has no
// slot: it writes where it likes.
func (s *slot) follow(a *aem.Activation) {
	if s == nil {
		return
	}
	name, id := "", aem.EventID(0)
	if a != nil {
		name, id = a.Name, a.Event.ID
	}
	s.stdout.Follow(name, id)
	s.stderr.Follow(name, id)
}

// vacant reports whether nobody is left in the slot, as mostly, and makes it fit for its next process then. It is for the
// loop: it looks into small files of the kernel, which are open.
func (s *slot) vacant() bool {
	if s.leaf != nil {
		if empty, err := s.leaf.Empty(); s.leaf.Spent() || !empty && !errors.Is(err, limits.ErrNoLeaf) {
			return false
		}
		s.count()
	}
	s.renew()
	return true
}

// clean ends whoever is left, and makes the slot fit for its next process unless somebody stays. It runs on the app's lane.
func (s *slot) clean() bool {
	empty := s.vacate()
	if empty {
		s.renew()
	}
	return empty
}

// renew logs what is left in the pipes, and forgets whose it was.
func (s *slot) renew() {
	if s.stderr != nil { // it was opened
		s.stdout.Renew()
		s.stderr.Renew()
	}
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

// blame tells whether memory or the number of processes ended or hindered a process of the slot. What one is blamed for
// is not asked of another that shares the leaf.
func (s *slot) blame(killed bool) aem.Reason {
	if s.of != nil {
		return s.of.blame(killed)
	}
	if !s.crew.limited || s.leaf == nil {
		return aem.ReasonNone
	}
	if killed && s.ranOut() {
		return aem.ReasonOOM
	}
	if hits, err := s.leaf.PIDsMaxHits(); err == nil && hits > s.pidsHits {
		s.pidsHits = hits
		return aem.ReasonPIDs
	}
	return aem.ReasonNone
}

// ranOut reports whether the kernel ended a process of the slot for want of memory, once for each. Of the number of
// processes it asks nothing: a fork that was refused is to be told when its process ends.
func (s *slot) ranOut() bool {
	if s.of != nil {
		return s.of.ranOut()
	}
	if !s.crew.limited || s.leaf == nil {
		return false
	}
	kills, err := s.leaf.OOMKills()
	if err != nil || kills <= s.oomKills {
		return false
	}
	s.oomKills++
	return true
}

// seat is a place for a child of the slot's process, in the same leaf and with pipes of its own, so that each line is
// put down to the event it comes from. It follows an activation from the beginning.
func (s *slot) seat(a *aem.Activation) (seat *slot, err error) {
	if n := len(s.seats); n > 0 {
		seat, s.seats = s.seats[n-1], s.seats[:n-1]
	} else {
		seat = &slot{crew: s.crew, name: s.name, of: s}
		err = seat.openStreams()
	}
	if err == nil {
		seat.leaf = s.leaf
		seat.follow(a)
	}
	return seat, err
}

// rise gives a seat back; what its child wrote last is logged.
func (s *slot) rise() {
	s.stdout.Renew()
	s.stderr.Renew()
	if len(s.of.seats) >= keptSeats {
		s.close()
		return
	}
	s.of.seats = append(s.of.seats, s)
}

// keptSeats bounds the seats that a slot keeps for children to come, each with the two ends of two pipes.
const keptSeats = 64

func (s *slot) close() {
	for _, seat := range s.seats {
		seat.close()
	}
	for _, stream := range []*Stream{s.stdout, s.stderr} {
		if stream != nil {
			stream.Close()
		}
	}
}

func slotName(handler string, n int) string { return handler + "-" + strconv.Itoa(n) }
