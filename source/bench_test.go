package source

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/timing"
)

// BenchmarkTimerStart starts timers among a million.
func BenchmarkTimerStart(b *testing.B) {
	const many = 1 << 20
	s := newTimers(Env{Alarms: new(timing.Alarms)})
	specs := make([]Spec, many)
	for i := range specs {
		specs[i] = Timer{After: time.Minute + rand.N(time.Minute)}
	}
	for i := range many {
		s.Start(aem.NewJobID(uint32(i), 1), specs[i])
	}
	for i := range many {
		s.Stop(aem.NewJobID(uint32(i), 1))
	}
	b.ResetTimer()
	s.Batch(func() {
		for i := range b.N {
			s.Start(aem.NewJobID(uint32(i%many), 1), nil)
		}
	})
}
