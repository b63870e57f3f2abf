package spawn

import (
	"errors"
	"fmt"
	"iter"
	"math/bits"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/internal/sys/startlimit"
)

// Plan is a Spec compiled against what this process is: only steps that change something are left. It never changes,
// so lanes share it. Lists point into it: whoever runs one keeps its plan alive.
type Plan struct {
	path, dir []byte // NUL-terminated; nil: leave
	umask     int
	scheduling
	ownScore  []byte // oom_score_adj of a process that begins shielded; nil: it does not
	rlimits   []rlimit
	nofile    *sys.Rlimit
	setGroups bool
	groups    []uint32
	gid, uid  *uint32
	capabilities
	userNS  bool
	ruleset int // of Landlock; 0: none
	noPrivs bool
	ignored uint64 // signals: bit n-1 is signal n
	filter  *sys.SockFprog
	flags   uint32

	// What every list points to.
	noAction sys.Sigaction // SIG_DFL
	noSignal uint64        // the empty sigset_t
	myself   [1]byte       // what a process writes into `tasks` to join
}

type rlimit struct {
	resource int
	value    sys.Rlimit
}

// Compile judges a Spec and leaves out what would change nothing, as everything is that a process without privileges
// may not do and need not. What this process is (identity, capabilities, ignored signals) must not change later.
func Compile(s Spec) (*Plan, error) {
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("compile %s: %w", s.Path, err)
	}
	we, err := readSelf()
	if err != nil {
		return nil, fmt.Errorf("compile %s: %w", s.Path, err)
	}
	p := &Plan{
		path:    terminate(s.Path),
		umask:   s.Umask,
		noPrivs: s.NoNewPrivs,
		userNS:  s.UserNamespace,
		ruleset: s.Ruleset,
		ignored: we.sigIgn,
		myself:  [1]byte{'0'},
	}
	if s.Dir != "" {
		p.dir = terminate(s.Dir)
	}
	if p.scheduling, err = s.Scheduling.compile(); err != nil {
		return nil, fmt.Errorf("compile %s: %w", s.Path, err)
	}
	if err := p.setScore(&s, we); err != nil {
		return nil, fmt.Errorf("compile %s: %w", s.Path, err)
	}
	p.setLimits(s.Rlimits)
	p.setIdentity(s.Identity, we)
	if s.DropCaps {
		if err := p.setCaps(&s, we); err != nil {
			return nil, fmt.Errorf("compile %s: %w", s.Path, err)
		}
	}
	if f := s.Filter; f != nil {
		p.filter, p.flags = &sys.SockFprog{Len: uint16(len(f.Insns)), Filter: &f.Insns[0]}, f.Flags
	}
	return p, nil
}

func (s *Spec) check() error {
	switch {
	case !filepath.IsAbs(s.Path):
		return errors.New("the path is not absolute")
	case s.Dir != "" && !filepath.IsAbs(s.Dir):
		return errors.New("the directory is not absolute")
	case strings.ContainsRune(s.Path+s.Dir, 0):
		return errors.New("a path contains NUL")
	case s.Umask < -1 || s.Umask > 0o777:
		return fmt.Errorf("no such umask: %#o", s.Umask)
	case s.Filter != nil && (len(s.Filter.Insns) == 0 || len(s.Filter.Insns) > sys.BPF_MAXINSNS):
		return fmt.Errorf("a filter of %d instructions", len(s.Filter.Insns))
	case s.Filter != nil && !s.NoNewPrivs:
		return errors.New("a filter without no_new_privs")
	}
	for _, l := range s.Rlimits {
		if l.Resource < 0 || l.Resource >= sys.RLIM_NLIMITS {
			return fmt.Errorf("no such resource: %d", l.Resource)
		}
	}
	return s.Scheduling.check()
}

// setLimits sets RLIMIT_NOFILE apart. Without one it is what this process was started with: the Go runtime raised the
// soft limit for itself, and a program that uses select(2) must not inherit that.
func (p *Plan) setLimits(limits []Rlimit) {
	soft, _ := startlimit.Nofile()
	var now syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &now); err == nil && now.Cur != soft {
		p.nofile = &sys.Rlimit{Cur: min(soft, now.Max), Max: now.Max}
	}
	for _, l := range limits {
		value := sys.Rlimit{Cur: l.Cur, Max: l.Max}
		if l.Resource == sys.RLIMIT_NOFILE {
			p.nofile = &value
			continue
		}
		p.rlimits = append(p.rlimits, rlimit{l.Resource, value})
	}
}

func (p *Plan) setIdentity(id *Identity, we self) {
	if id == nil {
		return
	}
	groups := slices.Sorted(slices.Values(id.Groups))
	if !slices.Equal(groups, we.groups) {
		p.setGroups, p.groups = true, groups
	}
	if gid := id.GID; we.gids != [3]uint32{gid, gid, gid} {
		p.gid = &gid
	}
	if uid := id.UID; we.uids != [3]uint32{uid, uid, uid} {
		p.uid = &uid
	}
}

// members are the members of a set of bits; the lowest bit is number first.
func members(set uint64, first int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for left := set; left != 0 && yield(bits.TrailingZeros64(left)+first); left &= left - 1 {
		}
	}
}

func terminate(s string) []byte { return append([]byte(s), 0) }
