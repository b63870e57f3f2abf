package policy

import (
	"errors"
	"fmt"
	"os"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// Reach is what a Landlock ruleset holds processes to: a plain value, of which Open makes a ruleset. The zero Reach
// wants none.
type Reach struct {
	Paths    *Paths   // nil: all
	Programs []string // that can be executed whatever Paths says
	Signals  Signals
	NoMounts bool // nothing can be mounted, unmounted or remounted, in a user namespace of its own neither
}

// Rights to files, in groups. What a kernel does not have cannot be handled, and is in no rule.
const (
	readRights  = sys.LANDLOCK_ACCESS_FS_READ_FILE | sys.LANDLOCK_ACCESS_FS_READ_DIR | sys.LANDLOCK_ACCESS_FS_EXECUTE
	writeRights = sys.LANDLOCK_ACCESS_FS_WRITE_FILE | sys.LANDLOCK_ACCESS_FS_TRUNCATE | sys.LANDLOCK_ACCESS_FS_REFER |
		sys.LANDLOCK_ACCESS_FS_REMOVE_DIR | sys.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		sys.LANDLOCK_ACCESS_FS_MAKE_CHAR | sys.LANDLOCK_ACCESS_FS_MAKE_DIR | sys.LANDLOCK_ACCESS_FS_MAKE_REG |
		sys.LANDLOCK_ACCESS_FS_MAKE_SOCK | sys.LANDLOCK_ACCESS_FS_MAKE_FIFO | sys.LANDLOCK_ACCESS_FS_MAKE_BLOCK |
		sys.LANDLOCK_ACCESS_FS_MAKE_SYM | sys.LANDLOCK_ACCESS_FS_IOCTL_DEV | sys.LANDLOCK_ACCESS_FS_RESOLVE_UNIX

	// fileRights are those that mean something for a file that is no directory: a rule for one may hold no others.
	fileRights = sys.LANDLOCK_ACCESS_FS_READ_FILE | sys.LANDLOCK_ACCESS_FS_EXECUTE | sys.LANDLOCK_ACCESS_FS_WRITE_FILE |
		sys.LANDLOCK_ACCESS_FS_TRUNCATE | sys.LANDLOCK_ACCESS_FS_IOCTL_DEV | sys.LANDLOCK_ACCESS_FS_RESOLVE_UNIX
)

// landlockVersions says which rights to files came with which version of Landlock, and which Linux that was. Rights of
// versions that are not here are not known, and so left as they are without Landlock.
var landlockVersions = []struct {
	abi    int
	linux  string
	rights uint64
}{
	{1, "5.13", sys.LANDLOCK_ACCESS_FS_MAKE_SYM<<1 - 1}, // the first thirteen
	{2, "5.19", sys.LANDLOCK_ACCESS_FS_REFER},
	{3, "6.2", sys.LANDLOCK_ACCESS_FS_TRUNCATE},
	{5, "6.10", sys.LANDLOCK_ACCESS_FS_IOCTL_DEV},
	{6, "6.12", 0}, // scopes
	{9, "7.1", sys.LANDLOCK_ACCESS_FS_RESOLVE_UNIX},
}

// The versions that something cannot be held without.
const (
	mountsABI  = 2 // before, renaming between directories could not be left alone
	pathsABI   = 3 // before, files outside could be cut off
	SignalsABI = 6
)

// known are the rights of a version.
func known(abi int) (rights uint64) {
	for _, v := range landlockVersions {
		if v.abi <= abi {
			rights |= v.rights
		}
	}
	return rights
}

// need refuses a version that lacks what a key of the policy wants.
func need(key string, want, abi int) error {
	if abi >= want {
		return nil
	}
	for _, v := range landlockVersions {
		if v.abi == want {
			return fmt.Errorf("%s wants Landlock of version %d (Linux %s): this kernel has version %d", key, want, v.linux, abi)
		}
	}
	panic("aem: internal error: no such version of Landlock")
}

// ruleset is what a kernel with a version of Landlock is to handle, or why that is not enough.
func (r *Reach) ruleset(abi int) (rules sys.LandlockRuleset, err error) {
	if r.NoMounts { // any right will do: a process under a ruleset with one cannot mount (man 7 landlock)
		rules.AccessFS = sys.LANDLOCK_ACCESS_FS_REFER
		err = need("a mount namespace", mountsABI, abi)
	}
	if r.Paths != nil {
		rules.AccessFS |= writeRights
		if r.Paths.Read != nil {
			rules.AccessFS |= readRights
		}
		err = errors.Join(err, need("paths", pathsABI, abi))
	}
	if r.Signals == OwnSignals {
		rules.Scoped = sys.LANDLOCK_SCOPE_SIGNAL
		err = errors.Join(err, need(`signals = "own"`, SignalsABI, abi))
	}
	rules.AccessFS &= known(abi)
	return rules, err
}

// pathRule gives rights to what lies at a path and beneath.
type pathRule struct {
	path   string
	rights uint64
}

// rules give what the ruleset takes, where it is not to be taken.
func (r *Reach) rules() (all []pathRule) {
	if r.Paths == nil {
		return []pathRule{{"/", sys.LANDLOCK_ACCESS_FS_REFER}}
	}
	for _, path := range r.Paths.Read {
		all = append(all, pathRule{path, readRights})
	}
	for _, path := range r.Paths.Write {
		all = append(all, pathRule{path, readRights | writeRights})
	}
	for _, path := range r.Programs {
		all = append(all, pathRule{path, sys.LANDLOCK_ACCESS_FS_READ_FILE | sys.LANDLOCK_ACCESS_FS_EXECUTE})
	}
	return append(all, pathRule{os.DevNull, readRights | writeRights})
}

// LandlockABI is the version of Landlock that this kernel has, or why it has none.
func LandlockABI() (int, error) {
	abi, err := sys.LandlockABI()
	if err != nil {
		return 0, fmt.Errorf("this kernel has no Landlock, or it is not among those of lsm= at boot: %w", err)
	}
	return abi, nil
}

// Open makes the ruleset, of paths as a process sees them whose root is the directory root. 0 is none, because nothing is
// held; the caller closes every other. It refuses, naming what is missing, rather than hold less.
func (r *Reach) Open(root int) (ruleset int, err error) {
	if r.Paths == nil && r.Signals != OwnSignals && !r.NoMounts {
		return 0, nil
	}
	abi, err := LandlockABI()
	if err != nil {
		return 0, err
	}
	wanted, err := r.ruleset(abi)
	if err != nil {
		return 0, err
	}
	if ruleset, err = sys.LandlockCreate(wanted); err != nil {
		return 0, fmt.Errorf("make Landlock ruleset: %w", err)
	}
	if wanted.AccessFS == 0 {
		return ruleset, nil
	}
	for _, rule := range r.rules() {
		if err := grant(ruleset, root, rule, wanted.AccessFS); err != nil {
			sys.Close(ruleset)
			return 0, fmt.Errorf("allow %s: %w", rule.path, err)
		}
	}
	return ruleset, nil
}

func grant(ruleset, root int, r pathRule, handled uint64) error {
	file, isDir, err := sys.OpenPath(root, r.path)
	if err != nil {
		return err
	}
	defer sys.Close(file)
	rights := r.rights & handled
	if !isDir {
		rights &= fileRights
	}
	if rights == 0 {
		return nil
	}
	return sys.LandlockAllow(ruleset, file, rights)
}
