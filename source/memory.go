package source

import (
	"errors"
	"fmt"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/memwatch"
	"github.com/aem-exec/aem-exec/internal/sys"
)

var memoryType = Type{
	Name: "memory",
	Facts: []Field{
		{"pid", aem.FactNumber, "the process"},
		{"thread", aem.FactNumber, "the thread that touched the place; 0 with `lost`"},
		{"instruction", aem.FactText, "the address of the instruction behind the one that did, as `0x401136`"},
		{"lost", aem.FactNumber, "how many accesses were not told, else 0"},
	},
	Kernel: "breakpoints of the processor, through perf_event_open(2): root or CAP_PERFMON; amd64 has four",
	Linux:  "2.6.33",
	Probe:  memwatch.Probe,
	Open:   func(e Env) Source { return newMemories(e) },
	Merge:  mergeLines, Merged: mergedLines,
}

// Memory asks for an event for each time that a place in a process's memory is written, or touched at all.
type Memory struct {
	PID     int
	Address uint64
	Length  int  // 1, 2, 4 or 8
	Reads   bool // reading it, too
}

// Type is "memory".
func (Memory) Type() string { return "memory" }

func (m Memory) check() error {
	switch m.Length {
	case 1, 2, 4, 8:
	default:
		return fmt.Errorf("length %d: want 1, 2, 4 or 8", m.Length)
	}
	if m.PID <= 0 {
		return errors.New("pid is missing")
	}
	if m.Address == 0 || m.Address%uint64(m.Length) != 0 {
		return fmt.Errorf("address %#x: want a multiple of the length, and not 0", m.Address)
	}
	return nil
}

// memories is the source of type memory. Each job has breakpoints of its own.
type memories struct {
	roster[memwatch.Access]
	env    Env
	places map[aem.JobID]*watchedPlace
}

// watchedPlace is that of one started job.
type watchedPlace struct {
	s       *memories
	job     *entry[memwatch.Access]
	pidfd   int
	watch   *memwatch.Watch
	polled  []Watch
	batch   []memwatch.Access
	running bool
}

func newMemories(e Env) *memories {
	s := &memories{env: e, places: map[aem.JobID]*watchedPlace{}}
	s.roster = newRoster(s.found)
	return s
}

func (s *memories) Start(id aem.JobID, spec Spec) (err error) {
	m := spec.(Memory)
	p := &watchedPlace{s: s, running: true}
	if p.pidfd, err = sys.PidfdOpen(m.PID); err != nil {
		return fmt.Errorf("watch process %d: %w", m.PID, err)
	}
	if p.watch, err = memwatch.Open(memwatch.Spec(m)); err == nil {
		err = p.poll()
	}
	if err != nil {
		p.end()
		return err
	}
	p.job, s.places[id] = s.add(id, spec), p
	return nil
}

func (p *watchedPlace) poll() error {
	over := WatcherFunc(func(uint32) {
		p.end()
		p.s.env.Sink.Trouble(p.job.id, fmt.Errorf("process %d is over", p.job.spec.(Memory).PID))
	})
	watch, err := p.s.env.Poller.Add(p.pidfd, sys.EPOLLIN, over)
	p.polled = append(p.polled, watch)
	for _, fd := range p.watch.FDs() {
		if err == nil {
			watch, err = p.s.env.Poller.Add(fd, sys.EPOLLIN, p)
			p.polled = append(p.polled, watch)
		}
	}
	return err
}

// end lets go of the process: what is at its address in another one is not meant.
func (p *watchedPlace) end() {
	if !p.running {
		return
	}
	p.running = false
	for _, w := range p.polled {
		p.s.env.Poller.Remove(w)
	}
	if p.watch != nil {
		p.watch.Close()
	}
	sys.Close(p.pidfd)
}

func (s *memories) Stop(id aem.JobID) {
	if s.remove(id) != nil {
		s.places[id].end()
		delete(s.places, id)
	}
}

func (s *memories) Close() {
	for id := range s.jobs {
		s.Stop(id)
	}
}

// Ready reads what all CPUs have seen.
func (p *watchedPlace) Ready(uint32) {
	batch, lost := p.watch.Read(p.batch[:0])
	p.batch = batch
	for _, a := range batch {
		p.s.give(p.job, a)
	}
	if lost > 0 {
		p.s.lose(p.job, int64(lost))
	}
}

func (s *memories) found(j *entry[memwatch.Access], a memwatch.Access, lost int64) {
	e := s.env.Sink.NewEvent("memory")
	e.Lost = lost
	e.Facts = []aem.Fact{
		aem.NumberFact("pid", int64(j.spec.(Memory).PID)), aem.NumberFact("thread", int64(a.Thread)),
		{Name: "instruction", Value: fmt.Sprintf("%#x", a.Instruction)}, aem.NumberFact("lost", lost),
	}
	s.env.Sink.Detected(j.id, e)
}
