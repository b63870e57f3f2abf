package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/aem-exec/aem-exec/internal/spawn"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/limits"
	"github.com/aem-exec/aem-exec/policy"
)

// spawnsPerBlock is how many processes a contender makes in its turn.
const spawnsPerBlock = 40

// nobody is who handlers run as when root may choose.
const nobody = 65534

// nursery makes processes in the ways that are compared. Its program says on descriptor 1 when its first line ran.
type nursery struct {
	born   string
	filter *spawn.Filter
	group  *limits.Group // nil without root
	tree   *limits.Tree
	leaf   *limits.Leaf
	stage  *spawn.Stage
	lane   *spawn.Lane
	null   *os.File
	stamps [2]int // a pipe
}

// openNursery makes what all processes share, with the settings that the executor uses.
func (b *bench) openNursery() (s *nursery, err error) {
	s = &nursery{}
	if s.born, err = b.compile("born", "-nostdlib", "-ffreestanding"); err != nil {
		return nil, err
	}
	if s.filter, err = compileProfile(policy.Default); err != nil {
		return nil, err
	}
	if s.null, err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
		return nil, err
	}
	if s.stamps[0], s.stamps[1], err = sys.Pipe(); err != nil {
		return nil, err
	}
	if b.root {
		if err := s.openLeaf(); err != nil {
			return nil, err
		}
	}
	if s.stage, err = spawn.NewStage(1); err != nil {
		return nil, err
	}
	if s.lane, err = s.stage.NewLane(1, nil); err != nil {
		return nil, err
	}
	return s, nil
}

// compileProfile makes the filter of a built-in profile; the default one has more than 350 calls, of the machine's own
// architecture.
func compileProfile(name string) (*spawn.Filter, error) {
	p, err := policy.Builtin(name, policy.Only)
	if err != nil {
		return nil, err
	}
	host, err := policy.ThisHost(0)
	if err != nil {
		return nil, err
	}
	f, err := policy.Compile(p, host, policy.Only)
	if err != nil {
		return nil, err
	}
	return &spawn.Filter{Insns: f.Insns, Flags: f.Flags}, nil
}

func (s *nursery) openLeaf() (err error) {
	if s.tree, err = limits.OpenTree(fmt.Sprintf("aem-bench%d", os.Getpid())); err != nil {
		return err
	}
	limit := limits.Limits{Memory: 256 << 20, PIDs: 64, OnMissing: []string{"memory", "swap", "pids"}}
	if s.group, err = s.tree.Group("bench", limit); err != nil {
		return err
	}
	s.leaf, err = s.group.Leaf("slot-0")
	return err
}

func (s *nursery) close() error {
	s.lane.Close()
	s.stage.Close()
	errs := []error{s.null.Close(), sys.Close(s.stamps[0]), sys.Close(s.stamps[1])}
	if s.group != nil {
		errs = append(errs, s.group.Remove(), s.tree.Close())
	}
	return errors.Join(errs...)
}

// spec is a handler with everything that a process can be made under; plain one with nothing.
func (s *nursery) spec() spawn.Spec {
	full := spawn.Spec{
		Path: s.born, Dir: "/", Umask: 0o022, DropCaps: true, NoNewPrivs: true, Filter: s.filter,
		Rlimits: []spawn.Rlimit{
			{Resource: syscall.RLIMIT_CORE}, {Resource: rlimitNproc, Cur: 1000, Max: 1000},
			{Resource: syscall.RLIMIT_FSIZE, Cur: 1 << 30, Max: 1 << 30}, {Resource: syscall.RLIMIT_NOFILE, Cur: 1024, Max: 1024},
		},
	}
	if s.group != nil {
		full.Identity = &spawn.Identity{UID: nobody, GID: nobody}
	}
	return full
}

func (s *nursery) plain() spawn.Spec { return spawn.Spec{Path: s.born, Umask: -1} }

// rlimitNproc is RLIMIT_NPROC (man 2 getrlimit), which package syscall lacks.
const rlimitNproc = 6

// contender makes processes of a spec on the lane.
func (s *nursery) contender(name string, spec spawn.Spec) (contender, error) {
	plan, err := spawn.Compile(spec)
	vars := spawn.Vars{Args: []string{"born"}, Env: []string{"PATH=/usr/bin:/bin"}, FDs: []int{int(s.null.Fd()), s.stamps[1], 2}}
	if s.leaf != nil && spec.Filter != nil {
		vars.Cgroup, vars.Join = s.leaf.Into(), s.leaf.Join()
	}
	block := func() ([]float64, error) {
		var samples []float64
		done := make(chan error)
		s.lane.Submit(func(m *spawn.Maker) {
			var err error
			samples, err = s.measure(func() (int, error) {
				child, err := m.Spawn(plan, vars)
				return child.PIDFD, err
			})
			done <- err
		})
		return samples, <-done
	}
	return contender{name, block}, err
}

// forkExec is the contender that the standard library is: no limits, no policy, no identity.
func (s *nursery) forkExec() ([]float64, error) {
	var pidfd int
	attr := &syscall.ProcAttr{
		Env: []string{"PATH=/usr/bin:/bin"}, Files: []uintptr{s.null.Fd(), uintptr(s.stamps[1]), 2},
		Sys: &syscall.SysProcAttr{Setsid: true, PidFD: &pidfd},
	}
	return s.measure(func() (int, error) {
		_, err := syscall.ForkExec(s.born, []string{"born"}, attr)
		return pidfd, err
	})
}

// measure takes the time from before each call to the first line of the process that it makes.
func (s *nursery) measure(makeOne func() (pidfd int, err error)) ([]float64, error) {
	samples := make([]float64, 0, spawnsPerBlock)
	for range spawnsPerBlock {
		start := sys.Monotonic()
		pidfd, err := makeOne()
		if err != nil {
			return nil, err
		}
		exit, _, err := sys.WaitPIDFD(pidfd, false)
		sys.Close(pidfd)
		if err != nil || exit != (sys.Exit{}) {
			return nil, fmt.Errorf("the process ended with %+v: %v", exit, err)
		}
		var stamp [8]byte
		if _, err := sys.Read(s.stamps[0], stamp[:]); err != nil {
			return nil, err
		}
		samples = append(samples, float64(int64(binary.NativeEndian.Uint64(stamp[:]))-start))
	}
	return samples, nil
}

func benchSpawn(b *bench) (rows []row, err error) {
	s, err := b.openNursery()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	least, err := b.vfork(s)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, least.close()) }()
	full, err := s.contender("full", s.spec())
	if err != nil {
		return nil, err
	}
	plain, err := s.contender("plain", s.plain())
	if err != nil {
		return nil, err
	}
	r, err := interleave(turns, full, plain,
		contender{"vfork", func() ([]float64, error) { return least.block(spawnsPerBlock) }},
		contender{"forkexec", s.forkExec})
	if err != nil {
		return nil, err
	}
	rows = append(rows, r.rows("cold.spawn", "ns", "full", "vfork")...)
	rows = append(rows, r.rows("cold.spawn.forkexec", "ns", "full", "forkexec")[:1]...)
	return append(rows, r.rows("spawn.plain", "ns", "plain", "forkexec")...), nil
}

// manyDescriptors and fewDescriptors are what is open besides what a Go program has anyway.
const (
	manyDescriptors = 15000
	fewDescriptors  = 20
)

func benchSpawnFDs(b *bench) (rows []row, err error) {
	s, err := b.openNursery()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	c, err := s.contender("", s.spec())
	if err != nil {
		return nil, err
	}
	amid := func(n int) func() ([]float64, error) {
		return func() (samples []float64, err error) {
			first, err := s.crowd(n)
			if err == nil {
				samples, err = c.block()
			}
			return samples, errors.Join(err, sys.CloseRange(first, first+n-1))
		}
	}
	r, err := interleave(turns, contender{"many", amid(manyDescriptors)}, contender{"few", amid(fewDescriptors)})
	return r.rows("spawn.fds", "ns", "many", "few"), err
}

// crowd opens n descriptors in a row above all that are open.
func (s *nursery) crowd(n int) (first int, err error) {
	const above = 1024
	for i := range n {
		if _, err := sys.Dup(int(s.null.Fd()), above+i); err != nil {
			return above, fmt.Errorf("open %d descriptors: %w", n, err)
		}
	}
	return above, nil
}
