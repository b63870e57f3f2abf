package main

import (
	"context"
	"errors"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/handler"
)

// attached is a program, this one, that attached itself to a supervisor of its own, and what it has registered.
type attached struct {
	*supervised
	agent *handler.Agent
	jobs  []aem.JobID
}

// attach runs a supervisor and attaches to its app `many`.
func (b *bench) attach() (*attached, error) {
	s, err := b.supervise("[app.many.limits]\njobs = 2000000\n", nil)
	if err != nil {
		return nil, err
	}
	agent, err := handler.Attach(context.Background(), "many", handler.RuntimeDir(s.dir))
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return &attached{supervised: s, agent: agent}, nil
}

func (a *attached) close() error {
	a.agent.Close()
	return a.stop()
}

// register makes n timers that are due in hours, as many in a message as there may be.
func (a *attached) register(n int) error {
	for len(a.jobs) < n {
		made, err := a.agent.RegisterAll(context.Background(), handler.Registration{
			Name: "t", Event: map[string]any{"type": "timer", "after": "24h"}, Count: min(control.MaxJobsAtOnce, n-len(a.jobs)),
		})
		if err != nil {
			return err
		}
		a.jobs = append(a.jobs, made[0]...)
	}
	return nil
}

// benchMillion has a program register, start and remove a million timers, in messages that name as many as they may.
func benchMillion(b *bench) (rows []row, err error) {
	a, err := b.attach()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	const jobs = 1_000_000
	ctx, began := context.Background(), time.Now()
	took := func(err error) (float64, error) {
		since := time.Since(began).Seconds()
		began = time.Now()
		return since, err
	}
	registered, err := took(a.register(jobs))
	if err != nil {
		return nil, err
	}
	inParts := func(do func(context.Context, ...aem.JobID) error) (err error) {
		for rest := a.jobs; len(rest) > 0 && err == nil; {
			n := min(len(rest), control.MaxJobsAtOnce)
			err, rest = do(ctx, rest[:n]...), rest[n:]
		}
		return err
	}
	started, err := took(inParts(a.agent.Start))
	if err != nil {
		return nil, err
	}
	removed, err := took(inParts(a.agent.Remove))
	return []row{
		{Name: "control.million", Unit: "s", Value: registered + started + removed},
		{Name: "control.million.register", Unit: "s", Value: registered},
		{Name: "control.million.start", Unit: "s", Value: started},
		{Name: "control.million.remove", Unit: "s", Value: removed},
	}, err
}

// rateJobs are as many as control.rate starts and stops by turns, and rateTurns how often it does with all of them.
const rateJobs, rateTurns = 10_000, 20

// benchControlRate sends operations on one job each, without waiting for their replies, and counts the replies.
func benchControlRate(b *bench) (rows []row, err error) {
	a, err := b.attach()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	if err = a.register(rateJobs); err != nil {
		return nil, err
	}
	rates := make([]float64, rateTurns)
	for turn := range rates {
		reqs := make([]control.Request, len(a.jobs))
		for i, id := range a.jobs {
			reqs[i] = control.Request{Op: [...]control.Op{control.OpStart, control.OpStop}[turn%2], Selectors: []control.Selector{{ID: id}}}
		}
		began := time.Now()
		replies, err := a.DoAll(context.Background(), reqs)
		rates[turn] = float64(len(reqs)) / time.Since(began).Seconds()
		for i := 0; i < len(replies) && err == nil; i++ {
			err = replies[i].Err()
		}
		if err != nil {
			return nil, err
		}
	}
	return []row{{Name: "control.rate", Unit: "operations/s", Value: quantile(rates, 0.5)}}, nil
}
