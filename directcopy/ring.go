package directcopy

// ring hands out the space of an arena in order and takes it back in any order: the supervisor's books of memory that
// lies in the handler. Space is one piece per block; the n-th block ever handed out is number n. A block that ends
// early leaves its space unused until those before it have ended too.
type ring struct {
	size        uint64 // of the arena; 0 until it is proved
	first, next uint64 // numbers: the oldest block still there, the next one to be handed out
	spans       [Slots]span
	used, peak  uint64 // bytes of the blocks there, and the most there ever were
}

// span is the place of one block.
type span struct {
	offset, size uint64
	live         bool
}

func (s span) end() uint64 { return s.offset + s.size }

// span is the place of block number, which is in [first, next).
func (r *ring) span(number uint64) *span { return &r.spans[number%Slots] }

// live reports whether block number was handed out and not taken back.
func (r *ring) live(number uint64) bool {
	return number >= r.first && number < r.next && r.span(number).live
}

// place finds room for size bytes, size > 0, and does not take it.
func (r *ring) place(size uint64) (offset uint64, ok bool) {
	switch r.next - r.first {
	case 0: // from the start again: the memory that was used last is the warmest
		return 0, size <= r.size
	case Slots:
		return 0, false
	}
	head, tail := r.span(r.next-1).end(), r.span(r.first).offset
	switch {
	case head <= tail: // wrapped: what is free lies between them
		return head, size <= tail-head
	case size <= r.size-head:
		return head, true
	}
	return 0, size <= tail // the rest is too small: wrap
}

// take hands out what place found, as block number next.
func (r *ring) take(offset, size uint64) {
	*r.span(r.next) = span{offset, size, true}
	r.next++
	r.used += size
	r.peak = max(r.peak, r.used)
}

// free takes block number back, which is live.
func (r *ring) free(number uint64) {
	s := r.span(number)
	s.live = false
	r.used -= s.size
	for r.first < r.next && !r.span(r.first).live {
		r.first++
	}
}

// undo takes the newest n blocks back as if they had never been handed out.
func (r *ring) undo(n int) {
	for ; n > 0; n-- {
		r.next--
		r.used -= r.span(r.next).size
	}
}
