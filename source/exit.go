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
	Linux:  "5.3",
	Parts:  []Part{{"exe", procwatch.Probe}, {"cgroup", procwatch.Probe}},
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

// exits is the source of type process.exit.
type exits struct {
	watching[procwatch.Exit]
	watcher *procwatch.Watcher // nil until the first start
}

func newExits(e Env) *exits {
	s := &exits{}
	s.watching = newWatching(e, func(x procwatch.Exit) uint64 { return x.View }, s.found)
	return s
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
	s.watcher.Watch(s.begin(id, spec), procwatch.Spec(p))
	return nil
}

func (s *exits) Stop(id aem.JobID) {
	if view, ok := s.end(id); ok {
		s.watcher.Unwatch(view)
	}
}

func (s *exits) Close() {
	close(s.closed)
	if s.watcher != nil {
		s.watcher.Close()
	}
}

func (s *exits) found(j *entry[procwatch.Exit], x procwatch.Exit, lost int64) {
	e := s.env.Sink.NewEvent("process.exit")
	if lost > 0 {
		x.How, x.Code = procwatch.Lost, -1
		e.Count = uint32(min(lost, 1<<32-1))
	}
	signal := ""
	if x.Signal != 0 {
		signal = sys.SignalName(x.Signal)
	}
	e.Facts = []aem.Fact{
		aem.NumberFact("pid", int64(x.PID)), {Name: "how", Value: string(x.How)}, aem.NumberFact("code", int64(x.Code)),
		{Name: "signal", Value: signal}, aem.NumberFact("core", number(x.Core)), {Name: "exe", Value: x.Exe}, {Name: "comm", Value: x.Comm},
	}
	if x.How == procwatch.Lost {
		e.Lost = lostOf(lost)
	}
	s.env.Sink.Detected(j.id, e)
}
