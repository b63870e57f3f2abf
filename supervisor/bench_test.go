package supervisor

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// TestDispatchAllocatesNothing counts what one event more costs in memory, from its publication to its fate.
func TestDispatchAllocatesNothing(t *testing.T) {
	quiet := role(t, "done")
	quiet.Life, quiet.Size = executor.Resident, 1
	call := executor.Spec{Name: "h", Agent: executor.Callback, Call: "nothing", Concurrency: 1}
	for name, h := range map[string]executor.Spec{"resident": quiet, "callback": call} {
		t.Run(name, func(t *testing.T) {
			r := startRun(t, func(o *Options) {
				o.Logger = slog.New(slog.DiscardHandler)
				o.Functions = map[string]executor.Function{"nothing": func(context.Context, *aem.Event) error { return nil }}
			}, topicApp(h))
			data := make([]byte, 1024)
			one := func() { r.publish("a/t", data) }
			const events = 2000
			send := func() {
				for range events / 100 {
					r.ask(func() {
						for range 100 {
							one()
						}
					})
					for r.counts("a/t").Waiting > 0 {
						time.Sleep(aemtest.Slow(10 * time.Millisecond)) // each look allocates too
					}
				}
			}
			send() // what grows has grown
			allocs := testing.AllocsPerRun(1, send) / events
			t.Logf("%.2f allocations an event", allocs)
			if allocs > 0.2 { // the steps of the test itself
				t.Errorf("%.2f allocations an event", allocs)
			}
		})
	}
}
