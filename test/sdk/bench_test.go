package sdk

import (
	"runtime"
	"testing"

	"github.com/aem-exec/aem-exec/directcopy"
	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// BenchmarkRoundTrip is one event to a resident handler that sleeps, and its answer back to us, who sleep too; 64 of them
// at once need no waking in between. To be compared with BenchmarkRoundTrip of the package handler.
func BenchmarkRoundTrip(b *testing.B) {
	for _, teller := range tellers {
		for _, events := range []int{1, 64} {
			b.Run(teller.name+map[int]string{1: "/one", 64: "/batch"}[events], func(b *testing.B) {
				aemtest.Require(b, teller.needs...)
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				a := ready(b, append(teller.command(b, teller.source), "64"), arena(1<<20))
				blocks := make([]directcopy.Block, events)
				for i := range blocks {
					blocks[i] = said("done")
				}
				var answers []directcopy.Answer
				for b.Loop() {
					a.Put(-1, blocks...)
					answers = a.Answered(answers, events)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
			})
		}
	}
}
