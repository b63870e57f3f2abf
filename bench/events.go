package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/source"
	"github.com/aem-exec/aem-exec/supervisor"
)

// registered is a supervisor with a callback, and the jobs that this program registered for it.
type registered struct {
	*supervised
	jobs []aem.JobID
}

// register runs a supervisor whose callback is f.
func (b *bench) register(f executor.Function) (*registered, error) {
	text := "[app.many.limits]\njobs = 10000000\nactivations = 100000\n[app.many.handler.h]\nagent = \"callback\"\ncall = \"h\"\n"
	s, err := b.supervise(text, map[string]executor.Function{"h": f})
	return &registered{supervised: s}, err
}

// perCall is how many jobs are registered at once: what a program does that has millions.
const perCall = 10_000

// add registers n timers and starts them.
func (r *registered) add(n int, timer func(i int) source.Timer) error {
	if err := r.declare(n, timer); err != nil {
		return err
	}
	return r.embedded.Start(r.jobs...)
}

// declare registers n timers.
func (r *registered) declare(n int, timer func(i int) source.Timer) error {
	e := supervisor.Registration{Name: "many", Source: timer(0), Handlers: []string{"h"}, Priority: aem.PriorityDefault, Full: supervisor.HoldFull}
	specs := make([]source.Spec, 0, perCall)
	for i := range n {
		if specs = append(specs, timer(i)); len(specs) < perCall && i < n-1 {
			continue
		}
		ids, err := r.embedded.Register("many", e, specs...)
		if err != nil {
			return err
		}
		r.jobs, specs = append(r.jobs, ids...), specs[:0]
	}
	return nil
}

// idle is a timer that is due in hours.
func idle(i int) source.Timer {
	return source.Timer{Every: 24 * time.Hour, First: time.Hour + time.Duration(i)*time.Microsecond, Cookie: uint64(i)}
}

// benchEventBytes measures what this process takes for each of ten million idle timers, everything together.
func benchEventBytes(b *bench) (rows []row, err error) {
	const events = 10_000_000
	r, err := b.register(func(context.Context, *aem.Event) error { return nil })
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.stop()) }()
	before, err := residentBytes()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if err := r.add(events, idle); err != nil {
		return nil, err
	}
	took := time.Since(start)
	r.jobs = nil // the list is this program's, not the supervisor's
	after, err := residentBytes()
	return []row{
		{Name: "events.bytes", Unit: "bytes", Value: float64(after-before) / events},
		{Name: "events.register", Unit: "events/s", Value: events / took.Seconds()},
	}, err
}

// residentBytes is the memory of this process, without garbage.
func residentBytes() (int64, error) {
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0, fmt.Errorf("read /proc/self/statm: %q", text)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// benchTimerGC measures garbage collections while a goroutine allocates: with a million timers registered, and without.
func benchTimerGC(b *bench) (rows []row, err error) {
	r, err := b.register(func(context.Context, *aem.Event) error { return nil })
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.stop()) }()
	all := results{}
	for range timerTurns {
		all["none"] = append(all["none"], collections())
		if err := r.add(manyTimers, idle); err != nil {
			return nil, err
		}
		all["many"] = append(all["many"], collections())
		if err := r.embedded.Remove(r.jobs...); err != nil {
			return nil, err
		}
		r.jobs = nil
	}
	return all.rows("timer.gc", "ns", "many", "none")[:1], nil
}

// collections is how long each of some garbage collections takes, in processor time.
func collections() (each []float64) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		var keep [1024][]byte
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				keep[i%len(keep)] = make([]byte, 1024)
			}
			if i%100 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	}()
	runtime.GC()
	for range 10 {
		start := cpuTime(os.Getpid())
		runtime.GC()
		each = append(each, float64(cpuTime(os.Getpid())-start))
	}
	close(stop)
	<-stopped
	return each
}

// benchActivate measures from a timer's event being detected until its callback, which does nothing, has returned: with
// a million timers, each of which falls due now and then, and with a thousand that fall due as often all together. The
// two supervisors take turns.
func benchActivate(b *bench) (rows []row, err error) {
	var contenders []contender
	for name, n := range map[string]int{"many": manyTimers, "few": 1000} {
		samples := make([]float64, 0, 1<<16) // the loop's, while its timers are started
		r, err := b.register(func(_ context.Context, e *aem.Event) error {
			samples = append(samples, float64(time.Since(e.Time)))
			return nil
		})
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, r.stop()) }()
		if err := r.declare(n, func(i int) source.Timer { return nowAndThen(i, n) }); err != nil {
			return nil, err
		}
		contenders = append(contenders, contender{name, func() ([]float64, error) {
			samples = samples[:0]
			err := r.during(time.Second)
			return append([]float64{}, samples...), err
		}})
	}
	all, err := interleave(turns/2, contenders...)
	return all.rows("events.activate", "ns", "many", "few"), err
}

// perSecond is how many timers fall due in a second where it is measured what one costs.
const perSecond = 2000

// nowAndThen is one of n timers of which perSecond fall due in a second, in no order of their numbers.
func nowAndThen(i, n int) source.Timer {
	every := time.Duration(n) * time.Second / perSecond
	return source.Timer{Every: every, First: 200*time.Millisecond + time.Duration(i*7919%n)*every/time.Duration(n)}
}

// during starts all jobs for a while.
func (r *registered) during(d time.Duration) error {
	if err := r.embedded.Start(r.jobs...); err != nil {
		return err
	}
	time.Sleep(d)
	if err := r.embedded.Stop(r.jobs...); err != nil {
		return err
	}
	return r.embedded.Alive(context.Background()) // what was detected has run
}
