package limits

import "time"

// Gauge is what is used of one limit that its owner counts: it has one owner and no lock.
type Gauge struct {
	Name    string // the key of the file, as activations
	Most    int64  // 0: no limit, and still counted
	Used    int64
	Peak    int64
	Reached uint64
	Last    time.Time // when it was last reached
	Since   time.Time // since when it is; zero: it is not
	loose   bool      // the last one fits as long as there is any room, whatever its size: bytes
}

// Count is a gauge of things that are one each; Bytes is one of what is larger or smaller.
func Count(name string, most int) Gauge { return Gauge{Name: name, Most: int64(most)} }

// Bytes is a gauge that what comes last may exceed.
func Bytes(name string, most int64) Gauge { return Gauge{Name: name, Most: most, loose: true} }

// Add counts what is used from here on, or no more.
func (g *Gauge) Add(n int64) {
	g.Used += n
	g.Peak = max(g.Peak, g.Used)
}

// Room reports whether n things more fit.
func (g *Gauge) Room(n int64) bool {
	if g.loose {
		n = 1
	}
	return g.Most == 0 || g.Used+n <= g.Most
}

// Reach notes that the limit is reached, and reports whether it was not before.
func (g *Gauge) Reach(now time.Time) bool {
	if !g.Since.IsZero() {
		return false
	}
	g.Reached++
	g.Last, g.Since = now, now
	return true
}

// Relax ends that state when there is enough room, and reports whether it did: a little more than one place, so that at
// the limit the state does not change with every thing that comes and goes.
func (g *Gauge) Relax() bool {
	if g.Since.IsZero() || g.Used > g.Most-max(1, g.Most/8) {
		return false
	}
	g.Clear()
	return true
}

// Clear ends that state.
func (g *Gauge) Clear() { g.Since = time.Time{} }
