package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aem-exec/aem-exec/control"
)

// A burst is one publication to so many jobs of one handler; so many publishers each wait for the fates of one before
// they publish the next, which keeps a window full and the supervisor below its limits.
const (
	burst      = 64
	publishers = 4
	perBlock   = 16 // bursts of a publisher
)

// benchBatch has 1 KiB events come as fast as they are done with, to a handler that takes 64 ahead and to one that
// takes one, and so gets a copy and a wake for each.
func benchBatch(b *bench) (rows []row, err error) {
	text := ""
	for name, ahead := range map[string]int{"many": 64, "one": 1} {
		command, err := b.handler("c", "", ahead)
		if err != nil {
			return nil, err
		}
		text += direct(name, "resident", command)
		for i := range burst {
			text += fmt.Sprintf("[app.bench.event.%s-%d]\ntype = \"topic\"\ntopic = %q\nhandler = %q\n", name, i, name, name)
		}
	}
	s, err := b.supervise(text, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	to := func(name string) contender {
		return contender{name, func() ([]float64, error) { return s.flood("bench/" + name) }}
	}
	r, err := interleave(turns, to("many"), to("one"))
	return r.rows("resident.batch", "events/s", "many", "one")[:1], err
}

// flood publishes a block's bursts and returns how many events a second were done.
func (s *supervised) flood(topic string) ([]float64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var all sync.WaitGroup
	errs := make([]error, publishers)
	start := time.Now()
	for i := range publishers {
		all.Go(func() { errs[i] = publish(ctx, s.dir, topic) })
	}
	all.Wait()
	return []float64{publishers * perBlock * burst / time.Since(start).Seconds()}, errors.Join(errs...)
}

func publish(ctx context.Context, dir, topic string) error {
	c, err := control.Dial(dir)
	if err != nil {
		return err
	}
	defer c.Close()
	data := []byte(strings.Repeat("x", 1<<10))
	for range perBlock {
		reply, err := c.Do(ctx, control.Request{Op: control.OpEmit, Topic: topic, Data: data, Wait: true})
		if err != nil {
			return err
		}
		if sent, err := control.ResultOf[control.Emitted](reply); err != nil || len(sent.Fates) != burst {
			return fmt.Errorf("%d fates of %d: %v", len(sent.Fates), burst, err)
		}
	}
	return nil
}
