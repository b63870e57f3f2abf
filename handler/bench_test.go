package handler

import (
	"runtime"
	"testing"

	"github.com/aem-exec/aem-exec/directcopy"
)

// BenchmarkRoundTrip is one event to a resident handler that sleeps, and its answer back to us, who sleep too:
// two wakes and one copy.
func BenchmarkRoundTrip(b *testing.B) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	a := ready(b, "tell", arena(1<<20))
	block := []directcopy.Block{{Data: []byte("done")}}
	var answers []directcopy.Answer
	b.ReportAllocs()
	for b.Loop() {
		a.Put(-1, block...)
		answers = a.Answered(answers, 1)
	}
}
