package sdk

import (
	"runtime"
	"testing"

	"github.com/aem-exec/aem-exec/directcopy"
	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// BenchmarkRoundTrip is one event to a resident handler that sleeps, and its answer back to us, who sleep too; 64 of them
// at once need no waking in between. To be compared with BenchmarkRoundTrip of the package handler. With /app the handler
// says first where they land.
func BenchmarkRoundTrip(b *testing.B) {
	for _, teller := range tellers {
		for _, way := range []struct {
			name   string
			events int
			app    bool
		}{{"one", 1, false}, {"batch", 64, false}, {"one/app", 1, true}, {"batch/app", 64, true}} {
			b.Run(teller.name+"/"+way.name, func(b *testing.B) {
				aemtest.Require(b, teller.needs...)
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				command := append(teller.command(b, teller.source), "64")
				if way.app {
					command = append(command, "made")
				}
				a := ready(b, command, directcopy.Options{ArenaSize: 1 << 20, AppAlloc: way.app})
				blocks := make([]directcopy.Block, way.events)
				for i := range blocks {
					blocks[i] = said("done")
				}
				var answers []directcopy.Answer
				for b.Loop() {
					a.Put(-1, blocks...)
					answers = a.Answered(answers, way.events)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*way.events), "ns/event")
			})
		}
	}
}
