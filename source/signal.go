package source

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/signals"
	"github.com/aem-exec/aem-exec/internal/sys"
)

var signalType = Type{
	Name: "signal",
	Facts: []Field{
		{"signal", aem.FactText, "its name, as `USR1` or `RTMIN+3`; `overflow` where signals were lost"},
		{"pid", aem.FactNumber, "the process that sent it; 0 where it was none"},
		{"uid", aem.FactNumber, "the user that process belongs to; -1 where it was none"},
		{"value", aem.FactNumber, "what was sent along with sigqueue(3), else 0"},
		{"lost", aem.FactNumber, "with `overflow`: how many signals, of this job or of others"},
	},
	Kernel: "a handler of sigaction(2) with SA_SIGINFO; of signals below `RTMIN` the kernel keeps one of each kind that is not taken yet",
	Linux:  "2.2",
	Open:   func(e Env) Source { return newSignals(e) },
	Merge:  mergeLines, Merged: mergedLines,
}

// Signal asks for an event for each signal that is sent to the supervisor.
type Signal struct {
	Signals []syscall.Signal
}

// Type is "signal".
func (Signal) Type() string { return "signal" }

// signalNames are the signals that can be asked for, beside those of real time. The others end or stop the supervisor, or
// are the Go runtime's.
var signalNames = map[string]syscall.Signal{
	"USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2, "WINCH": syscall.SIGWINCH, "CONT": syscall.SIGCONT,
	"ALRM": syscall.SIGALRM, "IO": syscall.SIGIO, "PWR": syscall.SIGPWR,
}

// The signals of real time, as C programs number them: the C library keeps the first two for itself, man 7 signal.
const rtMin, rtMax = syscall.Signal(34), syscall.Signal(64)

// SignalNames are those that can be asked for by their names alone.
func SignalNames() []string { return slices.Sorted(maps.Keys(signalNames)) }

// ParseSignal reads the name of a signal that can be asked for, as `USR1` or `RTMIN+3`.
func ParseSignal(name string) (syscall.Signal, error) {
	if s, ok := signalNames[name]; ok {
		return s, nil
	}
	if rest, ok := strings.CutPrefix(name, "RTMIN"); ok {
		n, err := strconv.ParseUint(strings.TrimPrefix(rest, "+"), 10, 8)
		if rest == "" || err == nil && rest[0] == '+' && rtMin+syscall.Signal(n) <= rtMax {
			return rtMin + syscall.Signal(n), nil
		}
	}
	return 0, fmt.Errorf("%q is not one of %s, RTMIN, RTMIN+1 to RTMIN+%d", name, strings.Join(SignalNames(), ", "), rtMax-rtMin)
}

// signalName is a signal as ParseSignal reads it.
func signalName(s syscall.Signal) string {
	switch {
	case s == rtMin:
		return "RTMIN"
	case s > rtMin:
		return fmt.Sprintf("RTMIN+%d", s-rtMin)
	}
	return sys.SignalName(s)
}

func (s Signal) check() error {
	if len(s.Signals) == 0 {
		return errors.New("signal is missing")
	}
	for _, one := range s.Signals {
		if _, err := ParseSignal(signalName(one)); err != nil {
			return fmt.Errorf("signal: %w", err)
		}
	}
	return nil
}

// signalBatch is how many signals are read in one turn.
const signalBatch = 64

// signalSource is the source of type signal. The signals are the process's: it takes those that a started job asks for.
type signalSource struct {
	shared[signals.Info]
	taker *signals.Taker
	batch []signals.Info
}

func newSignals(e Env) *signalSource {
	s := &signalSource{}
	s.shared = newShared(e, s, s.found)
	return s
}

func (s *signalSource) open() (fd int, err error) {
	if s.taker, err = signals.Open(); err != nil {
		return 0, err
	}
	return s.taker.FD(), nil
}

func (s *signalSource) shut() { s.taker.Close() }

// want takes what the jobs ask for.
func (s *signalSource) want() error {
	var want signals.Set
	for j := range s.started() {
		want |= signals.SetOf(j.spec.(Signal).Signals...)
	}
	return s.taker.Take(want)
}

// Ready reads one batch.
func (s *signalSource) Ready(uint32) {
	batch, lost := s.taker.Read(s.batch[:0], signalBatch)
	s.batch = batch
	s.tell(batch, int64(lost), func(spec Spec, i *signals.Info) bool { return slices.Contains(spec.(Signal).Signals, i.Signal) })
}

func (s *signalSource) found(j *entry[signals.Info], i signals.Info, lost int64) {
	name := signalName(i.Signal)
	if lost > 0 {
		name, i.UID = "overflow", -1
	}
	e := s.env.Sink.NewEvent("signal")
	e.Lost = lost
	e.Facts = []aem.Fact{
		{Name: "signal", Value: name}, aem.NumberFact("pid", int64(i.PID)), aem.NumberFact("uid", int64(i.UID)),
		aem.NumberFact("value", int64(i.Value)), aem.NumberFact("lost", lost),
	}
	s.env.Sink.Detected(j.id, e)
}
