package filewatch

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// BenchmarkWholeElsewhere is what it costs us that files are written on the file system, by others, where nobody asks.
func BenchmarkWholeElsewhere(b *testing.B) {
	d := openWhole(b, "mkdir in; mkdir elsewhere", Spec{Path: "in", On: Create | Written | Rename | Remove})
	cpu := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := cpu()
	for n := 0; n < b.N; n += manyFiles {
		d.perform(fmt.Sprintf("several elsewhere/n %d; remove elsewhere; mkdir elsewhere", min(manyFiles, b.N-n)))
	}
	d.settled()
	b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
	if lines := d.lines(); len(lines) > 0 {
		b.Log("told: ", lines[:min(len(lines), 3)])
	}
}
