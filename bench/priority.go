package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/executor"
)

const (
	topPace  = time.Millisecond       // of the urgent events
	lowWork  = time.Millisecond       // that one of the others computes
	lowStart = 100 * time.Millisecond // until they have filled the machine
)

// benchOverload measures from when a timer of the highest priority is due to the first line of its handler, which is
// short: on the loop, and on a thread that is raised to the class SCHED_RR. Beside it handlers of a low priority compute on
// threads, twice as much as all CPUs can; the floor is the same without them.
func benchOverload(b *bench) (rows []row, err error) {
	samples := make([]float64, 0, 1<<16) // of whoever is started; read while nothing is activated
	late := func(_ context.Context, e *aem.Event) error {
		at := time.Now().UnixNano()
		for i := range e.Facts {
			if e.Facts[i].Name == "scheduled" {
				samples = append(samples, float64(at-e.Facts[i].Number))
			}
		}
		return nil
	}
	compute := func(context.Context, *aem.Event) error {
		for start := time.Now(); time.Since(start) < lowWork; {
		}
		return nil
	}
	s, err := b.supervise(overload(), map[string]executor.Function{"callback": late, "thread": late, "compute": compute})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	block := func(agent string, loaded bool) contender {
		name := agent + " alone"
		if loaded {
			name = agent
		}
		return contender{name, func() ([]float64, error) {
			samples = samples[:0]
			err := s.overloaded("top/"+agent, loaded)
			return append([]float64{}, samples...), err
		}}
	}
	all, err := interleave(turns, block("callback", true), block("callback", false), block("thread", true), block("thread", false))
	if err != nil {
		return nil, err
	}
	rows = all.rows("priority.overload", "ns", "callback", "callback alone")
	return append(rows, all.rows("priority.overload.thread", "ns", "thread", "thread alone")...), nil
}

// overload declares an app of the highest priority and one of a low one.
func overload() string {
	cpus := runtime.NumCPU()
	text := "[app.top.limits]\npriority_max = 31\n[app.top.boost]\n31 = { realtime = 10 }\n"
	for _, agent := range []string{"callback", "thread"} {
		text += fmt.Sprintf("[app.top.handler.%s]\nagent = %q\ncall = %q\nconcurrency = 1\n", agent, agent, agent) +
			fmt.Sprintf("[app.top.event.%s]\ntype = \"timer\"\nevery = \"%v\"\nhandler = %q\npriority = 31\nstart = false\n", agent, topPace, agent)
	}
	text += fmt.Sprintf("[app.low.limits]\nactivations = 64\n[app.low.handler.compute]\nagent = \"thread\"\ncall = \"compute\"\nconcurrency = %d\n", 2*cpus)
	for i := range 2 * cpus { // each offers what one CPU can do
		text += fmt.Sprintf("[app.low.event.work%d]\ntype = \"timer\"\nevery = \"%v\"\nhandler = \"compute\"\npriority = 5\nstart = false\n", i, lowWork)
	}
	return text
}

// overloaded runs the jobs of a pattern for a block, beside the low ones or alone.
func (s *supervised) overloaded(pattern string, loaded bool) error {
	top := func() error { return s.during(4*blockTime, pattern) }
	if !loaded {
		return top()
	}
	if _, err := s.ask(control.OpStart, "low/*"); err != nil {
		return err
	}
	time.Sleep(lowStart)
	_, err := s.ask(control.OpStart, pattern)
	if err == nil {
		time.Sleep(4 * blockTime)
	}
	for _, p := range []string{pattern, "low/*"} {
		_, stopErr := s.ask(control.OpStop, p)
		err = errors.Join(err, stopErr)
	}
	return errors.Join(err, s.settled())
}
