package supervisor

import (
	"runtime"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/source"
)

// TestPressureOfTheAppItself_R174: an app whose handlers want more CPU time than there is is told, and one that rests beside it
// is not.
func TestPressureOfTheAppItself_R174(t *testing.T) {
	row, _ := source.TypeNamed("pressure")
	aemtest.Require(t, aemtest.Root, aemtest.Feature{Name: "pressure stall information", Probe: row.Check})
	busy := shell("while :; do :; done")
	busy.Name, busy.Timeout = "busy", time.Minute
	app := func(name string, events ...Registration) App {
		return testApp(name, []executor.Spec{busy, builtin("say", "log", nil)}, append(events, event("pressure", source.Pressure{
			Resource: "cpu", Some: source.Threshold{Lost: 20 * time.Millisecond, Window: 2 * time.Second}, Cgroup: source.OwnGroup,
		}, "say"))...)
	}
	work := event("work", source.Timer{Every: 10 * time.Millisecond, First: 0}, "busy")
	work.Most = 2 * uint64(runtime.NumCPU()) // most of the time they wait
	r := startRun(t, func(o *Options) { o.Grace = 0 }, app("works", work), app("rests"))
	r.until("works/pressure", "told twice", func(c aem.Counts) bool { return c.Done >= 2 })
	if c := r.counts("rests/pressure"); c.Detected != 0 {
		t.Errorf("who rests is under pressure: %+v", c)
	}
}
