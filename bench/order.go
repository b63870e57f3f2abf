package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/source"
	"github.com/aem-exec/aem-exec/supervisor"
)

const (
	orderApps, orderLevels = 8, 8
	orderJobs              = 16      // of each app and level
	orderEvents            = 1 << 20 // in all: a little more than a million
)

// began is one activation that began: its app and level, and the event's number in the order of detection.
type began struct {
	app, level int
	id         aem.EventID
}

// benchOrder counts activations that began out of order. All jobs of 8 apps, at 8 levels each, are activated in one step,
// again and again, and callbacks note how they begin: none before one of a higher level that waits, whosever it is, and
// none before one of its own app and level that was detected before.
func benchOrder(b *bench) (rows []row, err error) {
	var batch []began // the loop's, until all of it has ended
	functions := map[string]executor.Function{}
	var text strings.Builder
	for app := range orderApps {
		fmt.Fprintf(&text, "[app.order%d.limits]\nactivations = 100000\npriority_max = 31\n", app)
		for level := range orderLevels {
			name := fmt.Sprintf("note%d%d", app, level)
			functions[name] = func(_ context.Context, e *aem.Event) error {
				batch = append(batch, began{app, level, e.ID})
				return nil
			}
			fmt.Fprintf(&text, "[app.order%d.handler.level%d]\nagent = \"callback\"\ncall = %q\n", app, level, name)
		}
	}
	s, err := b.supervise(text.String(), functions)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := s.registerOrder(); err != nil {
		return nil, err
	}
	violations, seen, start := 0, 0, time.Now()
	for seen < orderEvents {
		batch = batch[:0]
		if _, err := s.ask(control.OpFire, "order*/*"); err != nil {
			return nil, err
		}
		if err := s.settled(); err != nil {
			return nil, err
		}
		violations += outOfOrder(batch)
		seen += len(batch)
	}
	return []row{
		{Name: "order.violations", Unit: "of 1,000,000", Value: float64(violations)},
		{Name: "order.rate", Unit: "activations/s", Value: float64(seen) / time.Since(start).Seconds()},
	}, nil
}

// registerOrder makes the jobs, in an order that is none of apps or levels.
func (s *supervised) registerOrder() error {
	for i := range orderApps * orderLevels {
		i = i * 29 % (orderApps * orderLevels)
		app, level := fmt.Sprintf("order%d", i%orderApps), i/orderApps
		timer := source.Timer{After: time.Hour}
		specs := make([]source.Spec, orderJobs)
		for j := range specs {
			specs[j] = timer
		}
		r := supervisor.Registration{Name: fmt.Sprintf("level%d", level), Source: timer, Handlers: []string{fmt.Sprintf("level%d", level)},
			Priority: aem.Priority(level * 4), Full: supervisor.HoldFull}
		if _, err := s.embedded.Register(app, r, specs...); err != nil {
			return err
		}
	}
	return nil
}

// outOfOrder counts activations of a batch that began after one of a lower level, or before an earlier one of its app and
// level.
func outOfOrder(batch []began) (violations int) {
	lowest := orderLevels
	last := map[[2]int]aem.EventID{}
	for _, a := range batch {
		key := [2]int{a.app, a.level}
		if a.level > lowest || a.id < last[key] {
			violations++
		}
		lowest, last[key] = min(lowest, a.level), max(last[key], a.id)
	}
	return violations
}
