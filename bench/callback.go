package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
)

// benchCallback measures from a timer's event being detected to the first line of a Go function on the loop.
func benchCallback(b *bench) ([]row, error) {
	return b.functions("callback.dispatch", "callback", nil)
}

// benchThread does the same with the function on a thread of its own, and beside it wakes one C process from another.
func benchThread(b *bench) (rows []row, err error) {
	program, err := b.compile("wake")
	if err != nil {
		return nil, err
	}
	wake, err := startFloor(nil, program)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, wake.close()) }()
	return b.functions("thread.dispatch", "thread", wake)
}

// functions measures one kind of agent that runs Go functions, against a floor or nil.
func (b *bench) functions(title, agent string, least *floor) (rows []row, err error) {
	samples := make([]float64, 0, 1<<16) // written by the one agent; read while nothing is activated
	s, err := b.supervise(function(agent, "mark", pace), map[string]executor.Function{
		"mark": func(_ context.Context, e *aem.Event) error {
			samples = append(samples, float64(time.Since(e.Time)))
			return nil
		},
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	contenders := []contender{{agent, func() ([]float64, error) {
		samples = samples[:0]
		err := s.during(blockTime, "bench/mark-*")
		return append([]float64{}, samples...), err
	}}}
	if least == nil {
		r, err := interleave(turns, contenders...)
		return r.rows(title, "ns", agent, ""), err
	}
	contenders = append(contenders, contender{"floor", func() ([]float64, error) { return least.block(int(blockTime / pace)) }})
	r, err := interleave(turns, contenders...)
	return r.rows(title, "ns", agent, "floor"), err
}

// function declares one agent that runs a Go function of the same name once in every pace.
func function(agent, name string, pace time.Duration) string {
	return fmt.Sprintf("[app.bench.handler.%s]\nagent = %q\ncall = %q\nconcurrency = 1\n", name, agent, name) + timers(name+"-", name, pace)
}

// benchAllocs counts what this process allocates while timers activate a C resident, a callback and a thread. The
// runtime's own allocations are among them, which is why they are never quite 0.
func benchAllocs(b *bench) (rows []row, err error) {
	command, err := b.handler("c", "", 1)
	if err != nil {
		return nil, err
	}
	nothing := func(context.Context, *aem.Event) error { return nil }
	agents := []string{"resident", "callback", "thread"}
	text := function("callback", "callback", pace) + function("thread", "thread", pace) +
		direct("resident", "resident", command) + timers("resident-", "resident", pace)
	s, err := b.supervise(text, map[string]executor.Function{"callback": nothing, "thread": nothing})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	rows = []row{{Name: "dispatch.allocs", Unit: "allocs/event"}}
	for _, agent := range agents {
		n, err := s.allocations("bench/" + agent + "-*")
		if err != nil {
			return nil, err
		}
		rows[0].Value = max(rows[0].Value, n)
		rows = append(rows, row{Name: "dispatch.allocs." + agent, Unit: "allocs/event", Value: n})
	}
	return rows, nil
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
