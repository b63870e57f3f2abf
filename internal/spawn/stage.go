package spawn

import (
	"fmt"
	"math/bits"
	"slices"
	"sync"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// The slots of one spawn: one for each descriptor the child is given, one for each group it joins, and those that its
// steps name.
const (
	joinSlot    = MaxFDs
	cellSlot    = joinSlot + MaxJoins // the pidfd of the cell's init
	rootSlot    = cellSlot + 1        // the cell's root directory
	rulesetSlot = rootSlot + 1        // of Landlock
	setSize     = rulesetSlot + 1
)

// given is what the slots of a set refer to; -1: to nothing.
type given [setSize]int

// MaxSets is how many processes a Stage can have in the making at once.
const MaxSets = 64

// Stage owns rows of low descriptor numbers. A child's table is cut off right above the set it was given, so low
// numbers make cheap processes, and always the lowest free set is given. It is made before the lanes and closed after
// them.
type Stage struct {
	idle int // what an unused slot refers to, so that nobody else is given its number

	mu    sync.Mutex // protects what follows
	freed sync.Cond
	sets  []int  // number of the first slot of each; all above every target, so that no copy in the child overwrites a slot
	free  uint64 // bit i: set i
}

// NewStage reserves the numbers of sets spawns. A spawn that finds no free set waits for one: with as many sets as
// lanes, a child that hangs before its program delays its own lane only.
func NewStage(sets int) (*Stage, error) {
	if sets < 1 || sets > MaxSets {
		return nil, fmt.Errorf("reserve descriptors: %d sets: want 1 to %d", sets, MaxSets)
	}
	idle, err := sys.Eventfd()
	if err != nil {
		return nil, fmt.Errorf("reserve descriptors: %w", err)
	}
	s := &Stage{idle: idle}
	s.freed.L = &s.mu
	if err := s.Grow(sets); err != nil {
		sys.Close(idle)
		return nil, err
	}
	return s, nil
}

// Grow reserves more numbers, for as many sets as there are lanes now, MaxSets at most. It may be called while processes
// are made.
func (s *Stage) Grow(sets int) error {
	reserving.Lock()
	defer reserving.Unlock()
	n := min(sets, MaxSets) - len(s.sets) // which only grows here
	if n <= 0 {
		return nil
	}
	first, err := reserve(s.idle, n*setSize)
	if err != nil {
		return fmt.Errorf("reserve descriptors: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range n {
		s.free |= 1 << len(s.sets)
		s.sets = append(s.sets, first+i*setSize)
	}
	s.freed.Broadcast()
	return nil
}

// reserving is held by who calls reserve: two at once would each take numbers from the other's row, and start again and again.
var reserving sync.Mutex

// reserve takes the lowest n free numbers in a row from MaxFDs on. It only ever takes a number that the kernel found
// free, because other goroutines open descriptors at the same time.
func reserve(idle, n int) (first int, err error) {
	first = MaxFDs
	for next := first; next < first+n; {
		got, err := sys.Dup(idle, next)
		if err != nil {
			closeRow(first, next)
			return 0, err
		}
		if got != next { // one in between is taken: start again behind it
			closeRow(first, next)
			first = got
		}
		next = got + 1
	}
	return first, nil
}

// closeRow closes the numbers from first up to, not including, end.
func closeRow(first, end int) {
	if first < end {
		sys.CloseRange(first, end-1) //nolint:errcheck // the range is one, and closing cannot fail otherwise
	}
}

// Close gives the numbers back. No lane may be left.
func (s *Stage) Close() {
	for _, slots := range s.sets {
		closeRow(slots, slots+setSize)
	}
	sys.Close(s.idle)
}

// take waits for a set and returns its first slot.
func (s *Stage) take() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.free == 0 {
		s.freed.Wait()
	}
	set := bits.TrailingZeros64(s.free)
	s.free &^= 1 << set
	return s.sets[set]
}

func (s *Stage) put(slots int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free |= 1 << slices.Index(s.sets, slots)
	s.freed.Signal()
}

// fill copies what one child is given into its slots.
func (s *Stage) fill(slots int, g *given) error {
	for i, fd := range g {
		if fd < 0 {
			continue
		}
		if err := sys.DupTo(fd, slots+i); err != nil {
			return err
		}
	}
	return nil
}

// empty drops the copies at once: a connection's peer sees its end only when the last copy is closed.
func (s *Stage) empty(slots int, g *given) {
	for i, fd := range g {
		if fd >= 0 {
			s.vacate(slots + i)
		}
	}
}

func (s *Stage) vacate(slot int) {
	if err := sys.DupTo(s.idle, slot); err != nil {
		panic("aem: internal error: vacate slot: " + err.Error()) // both numbers are open and ours
	}
}
