package main

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/internal/timing"
	"github.com/aem-exec/aem-exec/source"
)

// manyTimers is how many there are at once here.
const manyTimers = 1_000_000

// timerTurns is how many times each way is measured: a turn takes some seconds.
const timerTurns = 5

// timerSet is a way to have many timers. All of them are measured by the processor time of this process, because what
// is due in two seconds takes two seconds.
type timerSet interface {
	prepare(in []time.Duration)
	add()
	cancel(order []int)
	fire(n int) error // returns when so many have fired
}

// benchTimers compares the source of timers with time.AfterFunc, each with a million: starting registered ones, taking them
// back in another order, and having them fall due.
func benchTimers(b *bench) ([]row, error) {
	own, err := newSourceTimers()
	if err != nil {
		return nil, err
	}
	defer own.close()
	ways := map[string]timerSet{"source": own, "AfterFunc": &goTimers{}}
	all := results{}
	for turn := range timerTurns + 1 {
		for name, way := range ways {
			rates, err := measureTimers(way)
			if err != nil {
				return nil, err
			}
			for what, rate := range rates {
				if turn > 0 { // the first one warms memory
					all[what+name] = append(all[what+name], []float64{rate})
				}
			}
		}
	}
	var rows []row
	for _, what := range []string{"add", "cancel", "fire"} {
		rows = append(rows, all.rows("timer."+what, "timers/s", what+"source", what+"AfterFunc")[0])
	}
	return rows, nil
}

// measureTimers is how many timers a second of processor time each thing comes to.
func measureTimers(way timerSet) (map[string]float64, error) {
	rate := func(f func()) float64 {
		start := cpuTime(os.Getpid())
		f()
		return manyTimers / (cpuTime(os.Getpid()) - start).Seconds()
	}
	rates := map[string]float64{}
	in := make([]time.Duration, manyTimers)
	for i := range in {
		in[i] = time.Minute + rand.N(time.Minute)
	}
	way.prepare(in)
	rates["add"] = rate(way.add)
	order := rand.Perm(manyTimers)
	rates["cancel"] = rate(func() { way.cancel(order) })
	for i := range in {
		in[i] = 2*time.Second + rand.N(2*time.Second)
	}
	way.prepare(in)
	way.add()
	var err error
	rates["fire"] = rate(func() { err = way.fire(manyTimers) })
	return rates, err
}

// sourceTimers are timers of our source, with a sink that counts what is detected.
type sourceTimers struct {
	poller *source.Poller
	alarms timing.Alarms
	source source.Source
	jobs   []aem.JobID
	event  aem.Event
	fired  int

	detected func(*aem.Event) // nil: they are only counted
}

func newSourceTimers() (*sourceTimers, error) {
	s := &sourceTimers{}
	var err error
	if s.poller, err = source.NewPoller(); err != nil {
		return nil, err
	}
	s.source, err = source.Open("timer", source.Env{Poller: s.poller, Alarms: &s.alarms, Sink: s, Log: slog.Default()})
	return s, err
}

func (s *sourceTimers) close() {
	s.source.Close()
	s.poller.Close()
}

func (s *sourceTimers) NewEvent(typ string) *aem.Event {
	s.event = aem.Event{Type: typ, Time: time.Now(), Count: 1, FD: -1}
	return &s.event
}
func (s *sourceTimers) Detected(_ aem.JobID, e *aem.Event) {
	s.fired++
	if s.detected != nil {
		s.detected(e)
	}
}
func (s *sourceTimers) Room(aem.JobID) bool      { return true }
func (s *sourceTimers) Trouble(aem.JobID, error) {}

func (s *sourceTimers) prepare(in []time.Duration) {
	s.jobs = make([]aem.JobID, len(in))
	for i, d := range in {
		s.jobs[i] = aem.NewJobID(uint32(i), 1)
		s.source.(source.Keeper).Keep(s.jobs[i], source.Timer{After: d}) //nolint:errcheck // only zones can be wrong
	}
}

// add starts them in batches, as Supervisor.Start does.
func (s *sourceTimers) add() {
	for batch := range slices.Chunk(s.jobs, 4096) {
		s.source.(source.Batcher).Batch(func() {
			for _, id := range batch {
				s.source.Start(id, nil) //nolint:errcheck // only clocks that are set can fail
			}
		})
	}
}

func (s *sourceTimers) cancel(order []int) {
	for _, i := range order {
		s.source.Stop(aem.NewJobID(uint32(i), 1))
	}
}

func (s *sourceTimers) fire(n int) error {
	done := make(chan error)
	go func() { // on a thread as the loop's, which ends with it
		runtime.LockOSThread()
		sys.ExactSleep() //nolint:errcheck // as there
		done <- s.turns(n)
	}()
	return <-done
}

// turns is the loop until so many have fired.
func (s *sourceTimers) turns(n int) error {
	for s.fired = 0; s.fired < n; {
		at, ok := s.alarms.Next()
		if !ok {
			return errors.New("timers are lost")
		}
		if err := s.poller.Wait(max(0, time.Duration(at-timing.Now()))); err != nil {
			return err
		}
		s.alarms.Run(timing.Now())
	}
	return nil
}

// goTimers are those of Go's runtime, each with a function that counts.
type goTimers struct {
	in     []time.Duration
	timers []*time.Timer
	fired  atomic.Int64
}

func (g *goTimers) prepare(in []time.Duration) {
	g.in, g.timers = in, make([]*time.Timer, len(in))
	g.fired.Store(0)
}

func (g *goTimers) add() {
	count := func() { g.fired.Add(1) }
	for i, d := range g.in {
		g.timers[i] = time.AfterFunc(d, count)
	}
}

func (g *goTimers) cancel(order []int) {
	for _, i := range order {
		g.timers[i].Stop()
	}
}

func (g *goTimers) fire(n int) error {
	for g.fired.Load() < int64(n) {
		time.Sleep(10 * time.Millisecond)
	}
	g.timers = nil
	return nil
}
