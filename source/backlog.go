package source

// backlog keeps what has come for a job that is held, where nothing of the kernel could be held for it: up to a number, and
// beyond that how many more came.
type backlog[T any] struct {
	held bool
	kept []T
	lost int64
}

// keptArrivals is how many a backlog keeps.
const keptArrivals = 4096

// keep reports whether a job is held, and keeps what came if it is. What has lost something loses what comes after it too,
// so that there is one gap.
func (b *backlog[T]) keep(v T) bool {
	switch {
	case !b.held:
		return false
	case b.lost > 0 || len(b.kept) >= keptArrivals:
		b.lost++
	default:
		b.kept = append(b.kept, v)
	}
	return true
}

// resume gives back what was kept, in its order, until the job is held again, and then how much is lost.
func (b *backlog[T]) resume(detect func(T), overflow func(lost int64)) {
	b.held = false
	for len(b.kept) > 0 && !b.held {
		v := b.kept[0]
		b.kept = b.kept[1:]
		detect(v)
	}
	if b.held {
		return
	}
	b.kept = nil
	if lost := b.lost; lost > 0 {
		b.lost = 0
		overflow(lost)
	}
}

// count is how many arrivals a held job has missed.
func (b *backlog[T]) count() uint64 { return uint64(len(b.kept)) + uint64(b.lost) }
