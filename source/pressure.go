package source

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/internal/timing"
)

var pressureType = Type{
	Name: "pressure",
	Facts: []Field{
		{"resource", aem.FactText, "`memory`, `cpu` or `io`"},
		{"state", aem.FactText, "`high`: more time was lost than the file allows; `clear`: that is over; `overflow`: more such changes than could be kept"},
		{"avg", aem.FactText, "per cent of the last 10 seconds that were lost, as `1.53`"},
		{"avg_minute", aem.FactText, "of the last minute"},
		{"avg_long", aem.FactText, "of the last five minutes"},
		{"total", aem.FactNumber, "microseconds that were lost in all"},
		{"lost", aem.FactNumber, "with `overflow`: how many"},
	},
	Kernel: "triggers of pressure stall information (Documentation/accounting/psi.rst): CONFIG_PSI; without CAP_SYS_RESOURCE windows are multiples of 2 s",
	Linux:  "5.2",
	Probe:  func() error { _, err := os.Stat(pressureFile("cpu", "")); return err },
	Open:   func(e Env) Source { return newPressures(e) },
	Merge:  mergeLines, Merged: mergedLines,
}

// Resources are what there can be too little of.
var Resources = []string{"memory", "cpu", "io"}

// Threshold is how much time may be lost within a window.
type Threshold struct{ Lost, Window time.Duration }

// Pressure asks for an event when tasks lose more time than Some or All says, for want of a resource.
type Pressure struct {
	Resource string
	Some     Threshold     // while at least one task waits; exactly one of the two is set
	All      Threshold     // while no task gets on: what the kernel calls full
	Clear    time.Duration // without more, after which that is over, an event too, and the next one counts; 0: each counts
	Cgroup   string        // its tasks only: a path in the hierarchy of v2, or OwnGroup; "": all tasks
}

// OwnGroup stands for the app's own cgroup, which the supervisor knows.
const OwnGroup = "own"

// Type is "pressure".
func (Pressure) Type() string { return "pressure" }

// threshold is the one that is set, with the kernel's word for which.
func (p Pressure) threshold() (word string, t Threshold) {
	if p.All != (Threshold{}) {
		return "full", p.All
	}
	return "some", p.Some
}

// The kernel's bounds of a window, kernel/sched/psi.c.
const minWindow, maxWindow = 500 * time.Millisecond, 10 * time.Second

func (p Pressure) check() error {
	_, t := p.threshold()
	switch {
	case !slices.Contains(Resources, p.Resource):
		return fmt.Errorf("resource %q: want one of %s", p.Resource, strings.Join(Resources, ", "))
	case p.Some != (Threshold{}) == (p.All != (Threshold{})):
		return errors.New("pressure wants exactly one of some, all")
	case t.Window < minWindow || t.Window > maxWindow || t.Lost < time.Microsecond || t.Lost > t.Window:
		return fmt.Errorf("want a window of %v to %v, and a part of it", minWindow, maxWindow)
	case p.Clear != 0 && p.Clear < 2*t.Window:
		return errors.New("clear: want at least twice the window: a stall that goes on is told once in each")
	case p.Cgroup != "" && p.Cgroup != OwnGroup && !strings.HasPrefix(p.Cgroup, "/"):
		return fmt.Errorf("cgroup %q: want an absolute path, or %s", p.Cgroup, OwnGroup)
	}
	return nil
}

// CheckHost reports why this host cannot tell of it.
func (p Pressure) CheckHost() error {
	fd, err := p.open()
	if err == nil {
		sys.Close(fd)
	}
	return err
}

func (p Pressure) file() string { return pressureFile(p.Resource, p.Cgroup) }

// pressureFile is where the kernel tells of a resource, in a cgroup or on the whole host.
func pressureFile(resource, cgroup string) string {
	if cgroup == "" {
		return "/proc/pressure/" + resource
	}
	root := "/sys/fs/cgroup"
	if _, err := os.Stat(root + "/cgroup.controllers"); err != nil {
		root += "/unified" // of a hybrid host
	}
	return filepath.Join(root, cgroup, resource+".pressure")
}

// open sets the trigger, which is there as long as the descriptor is open. It must not be an os.File: whoever polls takes what
// is told away from others, and the runtime polls its files.
func (p Pressure) open() (int, error) {
	fd, err := syscall.Open(p.file(), syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: p.file(), Err: err}
	}
	word, t := p.threshold() // the last byte is overwritten, kernel/sched/psi.c
	if _, err = syscall.Write(fd, fmt.Appendf(nil, "%s %d %d\x00", word, t.Lost.Microseconds(), t.Window.Microseconds())); err == nil {
		return fd, nil
	}
	sys.Close(fd)
	if errors.Is(err, syscall.EINVAL) && t.Window%(2*time.Second) != 0 {
		return 0, errors.New("without CAP_SYS_RESOURCE the window is a multiple of 2s")
	}
	return 0, &os.PathError{Op: "set trigger", Path: p.file(), Err: err}
}

// pressureRetry is how long a trigger that is gone, with its cgroup, is waited for before it is set anew.
const pressureRetry = time.Second

// pressures is the source of type pressure. Each job has its own trigger.
type pressures struct {
	roster[stall]
	env      Env
	triggers map[aem.JobID]*trigger
}

// trigger is that of one started job.
type trigger struct {
	s     *pressures
	job   *entry[stall]
	spec  Pressure
	fd    int // 0: it is not set
	watch Watch
	high  bool
	alarm timing.Alarm // when it is over, or is set anew
}

// stall is what was read when something changed.
type stall struct{ state, text string }

func newPressures(e Env) *pressures {
	s := &pressures{env: e, triggers: map[aem.JobID]*trigger{}}
	s.roster = newRoster(s.found)
	return s
}

func (s *pressures) Start(id aem.JobID, spec Spec) error {
	t := &trigger{s: s, spec: spec.(Pressure)}
	if err := t.set(); err != nil {
		return err
	}
	t.job, s.triggers[id] = s.add(id, spec), t
	return nil
}

func (s *pressures) Stop(id aem.JobID) {
	if s.remove(id) != nil {
		s.triggers[id].unset()
		s.triggers[id].alarm.Stop()
		delete(s.triggers, id)
	}
}

func (s *pressures) Close() {
	for id := range s.jobs {
		s.Stop(id)
	}
}

func (t *trigger) set() (err error) {
	if t.fd, err = t.spec.open(); err != nil {
		return err
	}
	if t.watch, err = t.s.env.Poller.Add(t.fd, sys.EPOLLPRI, t); err != nil {
		sys.Close(t.fd)
		t.fd = 0
	}
	return err
}

func (t *trigger) unset() {
	if t.fd != 0 {
		t.s.env.Poller.Remove(t.watch)
		sys.Close(t.fd)
		t.fd = 0
	}
}

// Ready takes a trigger that has fired, or is gone.
func (t *trigger) Ready(events uint32) {
	if events&sys.EPOLLERR != 0 {
		t.again(fmt.Errorf("%s is gone", t.spec.file()))
		return
	}
	if t.spec.Clear == 0 {
		t.tell("high")
		return
	}
	t.s.env.Alarms.After(&t.alarm, t.spec.Clear, func() {
		t.high = false
		t.tell("clear")
	})
	if !t.high {
		t.high = true
		t.tell("high")
	}
}

// again sets a trigger that is gone anew, as soon as that can be.
func (t *trigger) again(why error) {
	t.unset()
	t.s.env.Sink.Trouble(t.job.id, why)
	t.s.env.Alarms.After(&t.alarm, pressureRetry, func() {
		if err := t.set(); err != nil {
			t.again(err)
			return
		}
		t.high = false
		t.s.env.Sink.Trouble(t.job.id, nil)
	})
}

func (t *trigger) tell(state string) {
	var b [256]byte
	n, _ := syscall.Pread(t.fd, b[:], 0) // of one that is gone just now there is nothing to read
	t.s.give(t.job, stall{state, string(b[:max(n, 0)])})
}

func (s *pressures) found(j *entry[stall], r stall, lost int64) {
	if lost > 0 {
		r.state = "overflow"
	}
	p := j.spec.(Pressure)
	word, _ := p.threshold()
	values := pressureValues(r.text, word)
	total, _ := strconv.ParseInt(values["total"], 10, 64)
	e := s.env.Sink.NewEvent("pressure")
	e.Lost = lost
	e.Facts = []aem.Fact{
		{Name: "resource", Value: p.Resource}, {Name: "state", Value: r.state},
		{Name: "avg", Value: values["avg10"]}, {Name: "avg_minute", Value: values["avg60"]}, {Name: "avg_long", Value: values["avg300"]},
		aem.NumberFact("total", total), aem.NumberFact("lost", lost),
	}
	s.env.Sink.Detected(j.id, e)
}

// pressureValues are those of one line of a file of pressure: `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`.
func pressureValues(text, word string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != word {
			continue
		}
		for _, f := range fields[1:] {
			name, value, _ := strings.Cut(f, "=")
			values[name] = value
		}
	}
	return values
}
