package supervisor

import (
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/internal/timing"
)

// waits is how long the activations of an app waited for their first attempt, by priority. What never waited at a level
// takes no memory for it.
type waits [aem.PriorityLevels]*timing.Histogram

func (w *waits) add(p aem.Priority, d time.Duration) {
	if w[p] == nil {
		w[p] = new(timing.Histogram)
	}
	w[p].Add(d)
}

// shown is what there is, the highest priority first.
func (w *waits) shown() []control.Wait {
	list := []control.Wait{}
	for p := len(w) - 1; p >= 0; p-- {
		if h := w[p]; h != nil {
			list = append(list, control.Wait{Priority: aem.Priority(p), Count: h.Count(),
				P50: h.Percentile(50), P99: h.Percentile(99), Longest: h.Longest()})
		}
	}
	return list
}
