package main

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
)

// benchCallback measures from a timer's event being detected to the first line of a Go function on the loop.
func benchCallback(b *bench) (rows []row, err error) {
	samples := make([]float64, 0, 1<<16) // written on the loop; read while nothing is activated
	s, err := b.supervise(callbacks("mark", pace), map[string]executor.Function{
		"mark": func(_ context.Context, e *aem.Event) error {
			samples = append(samples, float64(time.Since(e.Time)))
			return nil
		},
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	r, err := interleave(turns, contender{"callback", func() ([]float64, error) {
		samples = samples[:0]
		err := s.during(blockTime, "bench/mark-*")
		return append([]float64{}, samples...), err
	}})
	return r.rows("callback.dispatch", "ns", "callback", ""), err
}

// callbacks declares a callback that runs a Go function of the same name once in every pace.
func callbacks(name string, pace time.Duration) string {
	return "[app.bench.handler." + name + "]\nagent = \"callback\"\ncall = \"" + name + "\"\n" + timers(name+"-", name, pace)
}

// benchAllocs counts what this process allocates while timers activate a C resident, and a callback. The runtime's own
// allocations are among them, which is why they are never quite 0.
func benchAllocs(b *bench) (rows []row, err error) {
	command, err := b.handler("c", "", 1)
	if err != nil {
		return nil, err
	}
	text := callbacks("nothing", pace) + direct("resident", "resident", command) + timers("resident-", "resident", pace)
	s, err := b.supervise(text, map[string]executor.Function{"nothing": func(context.Context, *aem.Event) error { return nil }})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	resident, err := s.allocations("bench/resident-*")
	if err != nil {
		return nil, err
	}
	callback, err := s.allocations("bench/nothing-*")
	return []row{
		{Name: "dispatch.allocs", Unit: "allocs/event", Value: max(resident, callback)},
		{Name: "dispatch.allocs.resident", Unit: "allocs/event", Value: resident},
		{Name: "dispatch.allocs.callback", Unit: "allocs/event", Value: callback},
	}, err
}

// allocations is how many there are for each event of the jobs of a pattern, once everything has been used before.
func (s *supervised) allocations(pattern string) (float64, error) {
	if err := s.during(2*blockTime, pattern); err != nil {
		return 0, err
	}
	start, err := s.books()
	if err != nil {
		return 0, err
	}
	var before, after runtime.MemStats
	err = s.run(pattern, func() error {
		runtime.ReadMemStats(&before)
		time.Sleep(10 * blockTime)
		runtime.ReadMemStats(&after)
		return nil
	})
	if err != nil {
		return 0, err
	}
	end, err := s.books()
	return float64(after.Mallocs-before.Mallocs) / float64(end.Done-start.Done), err
}
