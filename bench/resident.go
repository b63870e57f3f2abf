package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/aem-exec/aem-exec/aem"
)

const (
	pace      = 200 * time.Microsecond // of residents' events
	blockTime = 100 * time.Millisecond
)

// published declares a resident that gets 1 KiB once in every pace, published by a callback that timers activate:
// nothing but the supervisor and the handler runs.
func published(name, command string) string {
	return direct(name, "resident", command) +
		fmt.Sprintf("[app.bench.event.to-%s]\ntype = \"topic\"\nhandler = %q\n", name, name) +
		fmt.Sprintf("[app.bench.handler.emit-%s]\nagent = \"callback\"\ncall = \"emit\"\nargs = { topic = \"to-%s\", data = %q }\n",
			name, name, strings.Repeat("x", 1<<10)) +
		timers(name+"-", "emit-"+name, pace)
}

// benchResident compares, paced, the way of an event with 1 KiB from being detected to the handler's first line with
// an eventfd's between two C processes. It holds all that the supervisor does for the event: making it, its activation,
// queueing, choosing, the copy and the doorbell. It does not hold the wake of the loop by the timer that is behind it.
func benchResident(b *bench) ([]row, error) {
	return b.residents("resident.dispatch", func(*residentRun) error { return nil })
}

// benchResidentPinned does the same with everybody on one CPU.
func benchResidentPinned(b *bench) (rows []row, err error) {
	defer func() { err = errors.Join(err, everywhere(os.Getpid())) }()
	return b.residents("resident.pinned", func(r *residentRun) error {
		return pin(0, append(r.handlers(), os.Getpid(), r.wake.pid(), r.copied.pid(), r.wake.child(), r.copied.child())...)
	})
}

// benchResidentApart does the same with those who wake on one CPU and those who are woken on another.
func benchResidentApart(b *bench) (rows []row, err error) {
	if runtime.NumCPU() < 2 {
		b.say("resident.apart is left out: there is one CPU")
		return nil, nil
	}
	defer func() { err = errors.Join(err, everywhere(os.Getpid())) }()
	return b.residents("resident.apart", func(r *residentRun) error {
		return errors.Join(
			pin(0, os.Getpid(), r.wake.pid(), r.copied.pid()),
			pin(1, append(r.handlers(), r.wake.child(), r.copied.child())...))
	})
}

// residentRun is one supervisor with its resident handlers, and the floors beside it.
type residentRun struct {
	*supervised
	files        map[string]*stamps // by handler
	wake, copied *floor
}

func (b *bench) openResidents(title string) (r *residentRun, err error) {
	r = &residentRun{files: map[string]*stamps{}}
	text := timers("timer-", "c", pace)
	for _, language := range []string{"c", "go"} {
		if r.files[language], err = b.newStamps(title + "." + language); err != nil {
			return nil, err
		}
		command, err := b.handler(language, r.files[language].path(), 1)
		if err != nil {
			return nil, err
		}
		text += published(language, command)
	}
	program, err := b.compile("wake")
	if err != nil {
		return nil, err
	}
	if r.wake, err = startFloor(nil, program); err != nil {
		return nil, err
	}
	if r.copied, err = startFloor(nil, program, "copy"); err != nil {
		return nil, errors.Join(err, r.wake.close())
	}
	if r.supervised, err = b.supervise(text, nil); err != nil {
		return nil, errors.Join(err, r.wake.close(), r.copied.close())
	}
	return r, nil
}

func (r *residentRun) close() error { return errors.Join(r.stop(), r.wake.close(), r.copied.close()) }

// handlers are the processes that have stamped by now.
func (r *residentRun) handlers() (pids []int) {
	for _, f := range r.files {
		pids = slices.AppendSeq(pids, maps.Keys(f.pids))
	}
	return pids
}

// contender runs the jobs of a pattern for a block and takes what their handler wrote.
func (r *residentRun) contender(name, jobs, language string) contender {
	return contender{name, func() ([]float64, error) {
		if err := r.during(blockTime, jobs); err != nil {
			return nil, err
		}
		return r.files[language].take()
	}}
}

func (b *bench) residents(title string, place func(*residentRun) error) (rows []row, err error) {
	run, err := b.openResidents(title)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, run.close()) }()
	contenders := []contender{
		run.contender("c", "bench/c-*", "c"), run.contender("go", "bench/go-*", "go"), run.contender("timer", "bench/timer-*", "c"),
		{"wake", func() ([]float64, error) { return run.wake.block(int(blockTime / pace)) }},
		{"copied", func() ([]float64, error) { return run.copied.block(int(blockTime / pace)) }},
	}
	for _, c := range contenders[:2] { // so that the handlers are known by what they stamp
		if _, err := c.block(); err != nil {
			return nil, err
		}
	}
	if err := place(run); err != nil {
		return nil, err
	}
	r, err := interleave(turns, contenders...)
	if err != nil {
		return nil, err
	}
	rows = append(rows, r.rows(title, "ns", "c", "wake")...)
	rows = append(rows, r.rows(title+".copied", "ns", "c", "copied")[0])
	rows = append(rows, r.rows(title+".go", "ns", "go", "wake")...)
	rows = append(rows, r.rows(title+".timer", "ns", "timer", "wake")...)
	cpu, err := run.cpu(title + ".cpu")
	return append(rows, cpu), err
}

// cpu is the processor time that all who take part spend on an event, the C handler's and the floor's.
func (r *residentRun) cpu(title string) (row, error) {
	pids := append(slices.Collect(maps.Keys(r.files["c"].pids)), os.Getpid())
	var spent time.Duration
	var before, after aem.Counts
	err := r.run("bench/c-*", func() (err error) {
		if before, err = r.books(); err != nil {
			return err
		}
		start := cpuTime(pids...)
		time.Sleep(10 * blockTime)
		spent = cpuTime(pids...) - start
		after, err = r.books()
		return err
	})
	if err != nil {
		return row{}, err
	}
	const wakes = 4096
	start := cpuTime(r.wake.pid(), r.wake.child())
	if _, err := r.wake.block(wakes); err != nil {
		return row{}, err
	}
	least := float64(cpuTime(r.wake.pid(), r.wake.child())-start) / wakes
	// Each event comes with one of its timer's, which has a callback publish it.
	cpu := row{Name: title, Unit: "ns/event", Value: float64(spent) / float64((after.Done-before.Done)/2)}
	cpu.against(least, cpu.Value/least)
	return cpu, nil
}
