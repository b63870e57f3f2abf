package source

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/procwatch"
	"github.com/aem-exec/aem-exec/internal/sys"
)

var exitType = Type{
	Name: "process.exit",
	Facts: []Field{
		{"pid", aem.FactNumber, "the process; 0 with `lost`"},
		{"how", aem.FactText, "`exit`, `signal`, `unknown` (the kernel did not tell), or `lost`: processes may have ended unseen, because there were more than could be told"},
		{"code", aem.FactNumber, "with `exit`: its status; else -1"},
		{"signal", aem.FactText, "with `signal`: its name, as `KILL`"},
		{"core", aem.FactNumber, "1 if it left a core dump, else 0"},
		{"exe", aem.FactText, "the program that it ran; empty if that could not be seen"},
		{"comm", aem.FactText, "its name"},
	},
	Kernel: "the process connector (linux/cn_proc.h), which needs root; for single processes else pidfd_open(2), and for how one ended PIDFD_GET_INFO (Linux 6.15)",
	Open:   func(e Env) Source { return newExits(e) },
	Merge:  mergeLines, Merged: mergedLines,
}

// ProcessExit asks for an event for each end of a process: of one of the four.
type ProcessExit struct {
	PID     int
	PIDFile string // absolute: the process whose pid it holds, and the next one's when that is over
	Exe     string // absolute, or a pattern of path.Match: every process that runs the program
	Cgroup  string // every process in it or below it, as /proc/PID/cgroup names it
}

// Type is "process.exit".
func (ProcessExit) Type() string { return "process.exit" }

func (p ProcessExit) check() error {
	kinds := 0
	for _, given := range []bool{p.PID != 0, p.PIDFile != "", p.Exe != "", p.Cgroup != ""} {
		if given {
			kinds++
		}
	}
	if kinds != 1 || p.PID < 0 {
		return errors.New("process.exit wants exactly one of pid, pidfile, exe, cgroup")
	}
	for key, value := range map[string]string{"pidfile": p.PIDFile, "exe": p.Exe, "cgroup": p.Cgroup} {
		if value != "" && !strings.HasPrefix(value, "/") {
			return fmt.Errorf("%s %q: want an absolute path", key, value)
		}
	}
	if _, err := path.Match(p.Exe, ""); err != nil {
		return fmt.Errorf("exe %q is no pattern", p.Exe)
	}
	return nil
}

// exits is the source of type process.exit. What the watcher reports, from its own goroutine, is detected on the loop;
// the watcher waits for that, and the kernel keeps what comes meanwhile.
type exits struct {
	env     Env
	watcher *procwatch.Watcher // nil until the first start
	jobs    map[aem.JobID]*exitJob
	views   map[uint64]*exitJob
	last    uint64 // view
	taken   chan struct{}
	closed  chan struct{}
}

// exitJob is one started job.
type exitJob struct {
	id   aem.JobID
	view uint64
	backlog[procwatch.Exit]
}

func newExits(e Env) *exits {
	return &exits{env: e, jobs: map[aem.JobID]*exitJob{}, views: map[uint64]*exitJob{},
		taken: make(chan struct{}, 1), closed: make(chan struct{})}
}

func (s *exits) Start(id aem.JobID, spec Spec) (err error) {
	if s.watcher == nil {
		if s.watcher, err = procwatch.New(s.report, s.trouble); err != nil {
			s.watcher = nil
			return err
		}
	}
	p := spec.(ProcessExit)
	if err := s.watcher.Connected(); err != nil && (p.Exe != "" || p.Cgroup != "") {
		return fmt.Errorf("exe and cgroup need the process connector, which is for root in the first pid namespace: %w", err)
	}
	s.last++
	j := &exitJob{id: id, view: s.last}
	s.jobs[id], s.views[j.view] = j, j
	s.watcher.Watch(j.view, procwatch.Spec(p))
	return nil
}

func (s *exits) Stop(id aem.JobID) {
	if j := s.jobs[id]; j != nil {
		j.held = true // what is kept is not detected any more
		s.watcher.Unwatch(j.view)
		delete(s.views, j.view)
		delete(s.jobs, id)
	}
}

func (s *exits) Hold(id aem.JobID) {
	if j := s.jobs[id]; j != nil {
		j.held = true
	}
}

// Resume detects what was kept, until the job is held again.
func (s *exits) Resume(id aem.JobID) {
	if j := s.jobs[id]; j != nil {
		j.resume(func(x procwatch.Exit) { s.detect(j, x, 1) },
			func(lost int64) { s.detect(j, procwatch.Exit{How: procwatch.Lost, Code: -1}, lost) })
	}
}

// Kept is how many exits wait for a held job.
func (s *exits) Kept(id aem.JobID) uint64 {
	if j := s.jobs[id]; j != nil {
		return j.count()
	}
	return 0
}

func (s *exits) Close() {
	close(s.closed)
	if s.watcher != nil {
		s.watcher.Close()
	}
}

// report is called by the watcher.
func (s *exits) report(batch []procwatch.Exit) {
	s.env.Post(func() { s.take(batch) })
	select {
	case <-s.taken:
	case <-s.closed:
	}
}

// trouble is called by the watcher, of a pidfile.
func (s *exits) trouble(view uint64, err error) {
	s.env.Post(func() {
		if j := s.views[view]; j != nil {
			s.env.Sink.Trouble(j.id, err)
		}
	})
}

func (s *exits) take(batch []procwatch.Exit) {
	select {
	case <-s.closed:
		return // the batch is the watcher's again
	default:
	}
	for _, x := range batch {
		if j := s.views[x.View]; j != nil && !j.keep(x) { // nil: it was stopped meanwhile
			s.detect(j, x, 1)
		}
	}
	s.taken <- struct{}{}
}

func (s *exits) detect(j *exitJob, x procwatch.Exit, count int64) {
	e := s.env.Sink.NewEvent("process.exit")
	e.Count = uint32(min(count, 1<<32-1))
	signal := ""
	if x.Signal != 0 {
		signal = sys.SignalName(x.Signal)
	}
	e.Facts = []aem.Fact{
		aem.NumberFact("pid", int64(x.PID)), {Name: "how", Value: string(x.How)}, aem.NumberFact("code", int64(x.Code)),
		{Name: "signal", Value: signal}, aem.NumberFact("core", number(x.Core)), {Name: "exe", Value: x.Exe}, {Name: "comm", Value: x.Comm},
	}
	if x.How == procwatch.Lost {
		e.Lost = count
	}
	s.env.Sink.Detected(j.id, e)
}
