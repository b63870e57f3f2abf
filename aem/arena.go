package aem

// Arena is what the memory that events are copied into has seen, of one process or of several together.
type Arena struct {
	Size   uint64 `json:"size"`   // bytes
	Used   uint64 `json:"used"`   // bytes of events that are not answered
	Peak   uint64 `json:"peak"`   // the most bytes that one process used at once
	Grown  uint64 `json:"grown"`  // how often one was made larger
	Full   uint64 `json:"full"`   // how often an event found no room
	Copies uint64 `json:"copies"` // each is of one event or of several
	Bytes  uint64 `json:"bytes"`  // copied
	Short  uint64 `json:"short"`  // writes that the kernel ended early, and that were gone on with
}

// Add counts another in.
func (a *Arena) Add(b Arena) {
	a.Size += b.Size
	a.Used += b.Used
	a.Peak = max(a.Peak, b.Peak)
	a.Grown += b.Grown
	a.Full += b.Full
	a.Copies += b.Copies
	a.Bytes += b.Bytes
	a.Short += b.Short
}

// HandlerArena is what all processes of a handler have seen, those that are gone too, and some of those that live.
type HandlerArena struct {
	Arena
	Processes []ProcessArena `json:"processes"`
}

// ProcessArena is what one process has seen.
type ProcessArena struct {
	PID int `json:"pid"`
	Arena
}
