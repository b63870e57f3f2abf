package directcopy

// Stats is what an arena has seen since its process began.
type Stats struct {
	Size   uint64 // bytes; 0 before the hello
	Used   uint64 // bytes of events that are not answered
	Peak   uint64 // the most bytes used at once
	Grown  uint64 // how often it was made larger
	Full   uint64 // how often an event found no room
	Copies uint64 // that were published; each is of one event or of several
	Bytes  uint64 // copied by them
	Short  uint64 // writes that ended early, and were gone on with
}

// Stats is a snapshot, for the owner. It may be asked for after Close.
func (m *Mailbox) Stats() Stats {
	s := m.stats
	s.Size, s.Used, s.Peak = m.ring.size, m.ring.used, m.ring.peak
	return s
}
