// Package slab keeps many small values by number: in pages that never move, so that growing copies nothing, and, when
// the values hold no pointers, without cost for the garbage collector. It hands out no numbers: that is its owner's.
package slab

import "iter"

// PageItems is how many values a page holds.
const PageItems = 512

// Slab is an array of values by number, of which only the pages exist that were used. The zero Slab is empty.
type Slab[T any] struct{ pages []*[PageItems]T }

// Make is the value of number i, a zero one when its page is new. It stays where it is.
func (s *Slab[T]) Make(i uint32) *T {
	if v := s.At(i); v != nil {
		return v
	}
	page := int(i / PageItems)
	for page >= len(s.pages) {
		s.pages = append(s.pages, nil)
	}
	s.pages[page] = new([PageItems]T)
	return &s.pages[page][i%PageItems]
}

// At is the value of number i, nil when its page was never used.
func (s *Slab[T]) At(i uint32) *T {
	if page := i / PageItems; int(page) < len(s.pages) {
		if items := s.pages[page]; items != nil {
			return &items[i%PageItems]
		}
	}
	return nil
}

// All goes through the pages that were used, value by value.
func (s *Slab[T]) All() iter.Seq2[uint32, *T] {
	return func(yield func(uint32, *T) bool) {
		for page, items := range s.pages {
			if items == nil {
				continue
			}
			for i := range items {
				if !yield(uint32(page*PageItems+i), &items[i]) {
					return
				}
			}
		}
	}
}
