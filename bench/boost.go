package main

import (
	"context"
	"errors"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/source"
	"github.com/aem-exec/aem-exec/supervisor"
)

// boostJobs are activated together, boostRounds times: so many events wait for the handler where it always has one.
const boostJobs, boostRounds = 1000, 20

// benchBoost counts the system calls that raise the thread of a C resident, for each of its events, which are all of one
// level: while it always has one, and while they come one by one.
func benchBoost(b *bench) (rows []row, err error) {
	command, err := b.handler("c", "", 1)
	if err != nil {
		return nil, err
	}
	text := "[app.bench.boost]\n5 = { nice = -5 }\n[app.many.limits]\njobs = 100000\nactivations = 100000\n[app.many.boost]\n5 = { nice = -5 }\n" +
		"[app.many.handler.h]\nlife = \"resident\"\nhandover = \"direct\"\nexec = [" + command + "]\n" +
		direct("paced", "resident", command) + timers("paced-", "paced", pace)
	s, err := b.supervise(text, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	waiting, err := s.callsWaiting()
	if err != nil {
		return nil, err
	}
	var paced float64
	err = s.run("bench/paced-*", func() (err error) {
		time.Sleep(2 * blockTime)
		paced, err = s.callsPerEvent("bench", func(done uint64) bool { return done >= 2000 })
		return err
	})
	return []row{
		{Name: "boost.syscalls", Unit: "syscalls/event", Value: waiting},
		{Name: "boost.syscalls.paced", Unit: "syscalls/event", Value: paced},
	}, err
}

// callsWaiting counts while many events wait.
func (s *supervised) callsWaiting() (calls float64, err error) {
	timer := source.Timer{After: time.Hour}
	specs := make([]source.Spec, boostJobs)
	for i := range specs {
		specs[i] = timer
	}
	r := supervisor.Registration{Name: "many", Source: timer, Handlers: []string{"h"}, Priority: aem.PriorityDefault, Full: supervisor.HoldFull}
	if _, err := s.embedded.Register("many", r, specs...); err != nil {
		return 0, err
	}
	for range boostRounds {
		if _, err := s.ask(control.OpFire, "many/*"); err != nil {
			return 0, err
		}
	}
	calls, err = s.callsPerEvent("many", func(done uint64) bool { return done >= boostJobs*boostRounds/4 })
	return calls, errors.Join(err, s.settled())
}

// callsPerEvent counts what boosts of an app cost from now on until so many more events are done.
func (s *supervised) callsPerEvent(app string, enough func(done uint64) bool) (float64, error) {
	calls := func() (n uint64, err error) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		reply, err := s.Do(ctx, control.Request{Op: control.OpUsage, Apps: []string{app}})
		if err != nil {
			return 0, err
		}
		list, err := control.ResultOf[[]control.Usage](reply)
		if err != nil {
			return 0, err
		}
		return list[0].Boost, nil
	}
	before, err := s.books()
	if err != nil {
		return 0, err
	}
	first, err := calls()
	if err != nil {
		return 0, err
	}
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		after, err := s.books()
		if err != nil {
			return 0, err
		}
		if done := after.Done - before.Done; enough(done) || time.Now().After(end) {
			last, err := calls()
			return float64(last-first) / float64(done), err
		}
	}
}
