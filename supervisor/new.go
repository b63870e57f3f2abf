package supervisor

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/filter"
	"github.com/aem-exec/aem-exec/internal/spawn"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/internal/timing"
	"github.com/aem-exec/aem-exec/limits"
	"github.com/aem-exec/aem-exec/source"
)

// HostError is something that the options ask for and this host does not have, with the place that asks for it.
type HostError struct {
	Path string // of the key, as app.web.handler.greet
	Err  error
}

func (e *HostError) Error() string { return e.Path + ": " + e.Err.Error() }

// Unwrap is the cause.
func (e *HostError) Unwrap() error { return e.Err }

// placed puts the place to an error; an error that has one keeps it.
func placed(err error, path ...string) error {
	var has *HostError
	if errors.As(err, &has) {
		return err
	}
	return &HostError{strings.Join(path, "."), err}
}

// New makes a supervisor of everything that can be made before the first event: it finds users, programs and policies,
// makes cgroups, sweeps what a killed supervisor left behind, and opens the control socket. An error leaves nothing
// behind; it is several HostErrors joined, where the options ask for what the host does not have.
func New(o Options) (*Supervisor, error) {
	s := &Supervisor{
		options: o, started: time.Now(), sources: map[string]source.Source{}, filters: filters{}, owners: map[*executor.Pool]*app{},
		down: map[*executor.Pool][]aem.JobID{}, starting: map[aem.JobID]*timing.Alarm{}, specs: map[aem.JobID]source.Spec{},
		latest: map[aem.JobID]*aem.Activation{}, joined: map[*aem.Activation][]aem.EventID{}, silences: map[aem.JobID]*silence{}, narrowed: map[aem.JobID]*filter.Filter{},
		retries: map[*aem.Activation]*timing.Alarm{}, troubled: map[*executor.Pool]bool{}, waiters: map[aem.EventID]*waiter{},
		tokens: map[string]*attached{}, parents: map[aem.JobID]aem.JobID{},
		lastID: aem.EventID(time.Now().UnixNano()), done: make(chan struct{}),
	}
	s.watch.s, s.watch.wake = s, make(chan struct{}, 1)
	s.watch.left, s.watch.looks = map[executor.CopyOwner]*longCopy{}, stuckLooks
	s.orphans.s, s.orphans.own = s, map[int]int{}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.announce()
	return s, nil
}

func (s *Supervisor) open() (err error) {
	if s.poller, err = source.NewPoller(); err != nil {
		return err
	}
	if err = s.inbox.open(s.poller); err != nil {
		return err
	}
	if s.log = s.options.Logger; s.log == nil {
		if s.logs, err = newLogRing(s.options.Log, standardError()); err != nil {
			return err
		}
		s.log = s.logs.logger()
	}
	if s.options.Whole {
		if err = errors.Join(sys.BecomeSubreaper(), sys.CloseToOthers(), spawn.ShieldSelf()); err != nil {
			return fmt.Errorf("become a supervisor: %w", err)
		}
	}
	if s.null, err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
		return err
	}
	if dir := s.options.RuntimeDir; dir != "" {
		if err = control.MakeRuntimeDir(dir); err != nil {
			return err
		}
		c := s.options.Control
		if s.socket, err = control.Listen(dir, fs.FileMode(c.Mode), c.Group); err != nil {
			return err
		}
	}
	if err = s.openState(); err != nil {
		return err
	}
	return s.openApps()
}

// openState opens what outlives a run, and ends what a run that was killed left.
func (s *Supervisor) openState() (err error) {
	dead, runs, dir := "", "", s.options.StateDir
	if dir != "" {
		if err = os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		dead, runs = filepath.Join(dir, "dead"), filepath.Join(dir, "runs.json")
	}
	if s.lastRuns, err = openRuns(s, runs); err != nil {
		return err
	}
	if s.dead, err = openDead(dead, s.options.DeadLetters, s.log); err != nil {
		return err
	}
	if s.tree, err = limits.OpenTree(treeName(s.options.RuntimeDir)); err != nil {
		return err
	}
	killed, err := s.tree.Sweep()
	if err != nil {
		return err
	}
	if dir != "" {
		var more int
		if s.census, more, err = executor.OpenCensus(filepath.Join(dir, "processes")); err != nil {
			return err
		}
		killed += more
	}
	if killed > 0 {
		s.log.Warn("ended processes that a killed supervisor left", "processes", killed)
	}
	if s.denials, err = openDenials(s.poller, s.log, s.options.Observer); err != nil {
		return err
	}
	s.scribe, err = executor.NewScribe(s.log, s.options.Foreground)
	return err
}

// treeName is the name of the supervisor's cgroups: `aem`, with a mark of its runtime folder where it is not the
// default one, so that supervisors with different folders do not sweep each other's.
func treeName(runtimeDir string) string {
	if runtimeDir == "/run/aem" {
		return "aem"
	}
	if runtimeDir == "" { // embedded: nobody comes after us under the same name
		return fmt.Sprintf("aem-p%d", os.Getpid())
	}
	sum := sha256.Sum256([]byte(runtimeDir))
	return "aem-" + hex.EncodeToString(sum[:4])
}

// openApps makes the apps, all errors at once.
func (s *Supervisor) openApps() (err error) {
	if s.stage, err = spawn.NewStage(min(max(1, len(s.options.Apps)), spawn.MaxSets)); err != nil {
		return err
	}
	topics, err := s.source("topic")
	if err != nil {
		return err
	}
	s.topics = topics.(*source.Topics)
	closes, err := s.source("socket.close")
	if err != nil {
		return err
	}
	s.closes = closes.(*source.Closes)
	var errs []error
	for i := range s.options.Apps {
		a, err := s.openApp(&s.options.Apps[i])
		if a != nil {
			s.apps = append(s.apps, a)
		}
		if err == nil {
			err = errors.Join(s.enlist(a), s.openPools(a))
		}
		if err == nil {
			err = s.register(a)
		}
		errs = append(errs, err)
	}
	for _, p := range s.pools {
		if err := p.Rehearsed(); err != nil {
			errs = append(errs, placed(err, "app", s.owners[p].spec.Name, "handler", p.Spec().Name))
		}
	}
	s.lastRuns.forgetOthers()
	errs = append(errs, sys.OnThread(s.outrank))
	return errors.Join(errs...)
}

// outrank puts the calling thread, the loop's, above all threads of handlers that are in a real-time class, or may be raised to one: else one
// that computes could keep the loop from its CPU.
func (s *Supervisor) outrank() error {
	highest := 0
	for _, p := range s.pools {
		highest = max(highest, p.Spec().Realtime)
	}
	for _, a := range s.apps {
		highest = max(highest, a.spec.Boost.Realtime())
	}
	if highest == 0 {
		return nil
	}
	return executor.RunRealtime(highest + 1)
}

// announce says at start what is weaker than it may seem.
func (s *Supervisor) announce() {
	for _, a := range s.apps {
		s.announceApp(a)
	}
}

// announceApp says it of one app.
func (s *Supervisor) announceApp(a *app) {
	if !slices.ContainsFunc(a.spec.Handlers, func(h executor.Spec) bool { return h.Agent == executor.Process }) {
		return
	}
	if text := a.reservation(); text != "" {
		s.log.Warn(text, "app", a.spec.Name)
	}
	if shields, err := spawn.Shields(); a.work.Group.LimitsMemory() && err == nil && !shields {
		s.log.Warn("without root's CAP_SYS_RESOURCE the kernel may end the supervisor when an app's memory runs out just as a process of it begins", "app", a.spec.Name)
	}
	s.reportTrouble(a)
	if !a.work.Group.Kills() {
		s.log.Warn("no cgroup: what a handler leaves behind is killed by its process group, and as found under us", "app", a.spec.Name)
	}
}

// CheckHost finds what the options ask for and this host does not have, without making or changing anything that
// stays.
func CheckHost(o Options) []*HostError {
	o.RuntimeDir, o.StateDir, o.Ready, o.Whole = "", "", nil, false
	o.Logger = slog.New(slog.DiscardHandler)
	s, err := New(o)
	if err == nil {
		err = s.close()
	}
	return HostErrors(err)
}

// HostErrors takes apart what New has joined; an error without a place is one with an empty one.
func HostErrors(err error) []*HostError {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []*HostError
		for _, e := range joined.Unwrap() {
			all = append(all, HostErrors(e)...)
		}
		return all
	}
	var host *HostError
	if errors.As(err, &host) {
		return []*HostError{host}
	}
	return []*HostError{{"", err}}
}
