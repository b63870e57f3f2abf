package policy

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/aem-exec/aem-exec/internal/strict"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// actions says what the kernel answers and the largest errno an action takes; 0: none. KILL kills the thread alone, as
// in libseccomp, which can leave a program of several threads hanging: KILL_PROCESS is what most profiles want.
// ERRNO stops at the kernel's MAX_ERRNO; the value of TRACE is any message for the tracer.
var actions = map[specs.LinuxSeccompAction]struct {
	answer   uint32
	errnoMax uint
}{
	specs.ActKill:        {answer: sys.SECCOMP_RET_KILL_THREAD},
	specs.ActKillThread:  {answer: sys.SECCOMP_RET_KILL_THREAD},
	specs.ActKillProcess: {answer: sys.SECCOMP_RET_KILL_PROCESS},
	specs.ActTrap:        {answer: sys.SECCOMP_RET_TRAP},
	specs.ActErrno:       {answer: sys.SECCOMP_RET_ERRNO, errnoMax: 4095},
	specs.ActTrace:       {answer: sys.SECCOMP_RET_TRACE, errnoMax: sys.SECCOMP_RET_DATA},
	specs.ActAllow:       {answer: sys.SECCOMP_RET_ALLOW},
	specs.ActLog:         {answer: sys.SECCOMP_RET_LOG},
}

// flags are the words of a profile and the kernel's bits. The specification has no constant for TSYNC. The kernel
// takes WAIT_KILLABLE_RECV only together with a listener, which nothing here makes, so it is understood and not passed
// on, as by libseccomp.
var flags = map[specs.LinuxSeccompFlag]uint32{
	"SECCOMP_FILTER_FLAG_TSYNC":            sys.SECCOMP_FILTER_FLAG_TSYNC,
	specs.LinuxSeccompFlagLog:              sys.SECCOMP_FILTER_FLAG_LOG,
	specs.LinuxSeccompFlagSpecAllow:        sys.SECCOMP_FILTER_FLAG_SPEC_ALLOW,
	specs.LinuxSeccompFlagWaitKillableRecv: 0,
}

// foreign are architectures the specification names and no table is here for. Listing one changes nothing: either the
// kernel never sees its calls, or they are killed.
var foreign = []specs.Arch{
	specs.ArchARM, specs.ArchMIPS, specs.ArchMIPS64, specs.ArchMIPS64N32, specs.ArchMIPSEL, specs.ArchMIPSEL64,
	specs.ArchMIPSEL64N32, specs.ArchPPC, specs.ArchPPC64, specs.ArchPPC64LE, specs.ArchS390, specs.ArchS390X,
	specs.ArchPARISC, specs.ArchPARISC64, specs.ArchRISCV64, specs.ArchLOONGARCH64, specs.ArchM68K, specs.ArchSH,
	specs.ArchSHEB,
}

const argsMax = 6 // of seccomp_data.args

// check returns the first mistake of a profile, if any. It knows nothing of the host.
func (p *Profile) check() error {
	if err := checkAction("", "defaultAction", p.DefaultAction, "defaultErrnoRet", p.DefaultErrnoRet); err != nil {
		return err
	}
	if err := p.checkArchitectures(); err != nil {
		return err
	}
	for i, f := range p.Flags {
		if _, ok := flags[f]; !ok {
			return strict.Mistaken(fmt.Sprintf("flags[%d]", i), "unknown flag %q (%s)", f, words(flags))
		}
	}
	for i := range p.Rules {
		if err := p.Rules[i].check(rulePath(i)); err != nil {
			return err
		}
	}
	return nil
}

// judge is check, and whether the rules that hold everywhere agree with each other.
func (p *Profile) judge() error {
	if err := p.check(); err != nil {
		return err
	}
	_, err := newBook(p.unconditional())
	return err
}

func (p *Profile) checkArchitectures() error {
	if len(p.Architectures) > 0 && len(p.ArchMap) > 0 {
		return strict.Mistaken("archMap", "beside architectures: want one of the two")
	}
	for i, a := range p.Architectures {
		if err := checkArch(fmt.Sprintf("architectures[%d]", i), a); err != nil {
			return err
		}
	}
	for i, f := range p.ArchMap {
		if err := checkArch(fmt.Sprintf("archMap[%d].architecture", i), f.Arch); err != nil {
			return err
		}
		for j, a := range f.Subs {
			if err := checkArch(fmt.Sprintf("archMap[%d].subArchitectures[%d]", i, j), a); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkArch(path string, a specs.Arch) error {
	if _, ok := ArchByName(string(a)); !ok && !slices.Contains(foreign, a) {
		return strict.Mistaken(path, "unknown architecture %q", a)
	}
	return nil
}

// noListener refuses what would need somebody who answers each call.
func noListener(path, metadata string) error {
	switch {
	case path != "":
		return strict.Mistaken("listenerPath", unheard)
	case metadata != "":
		return strict.Mistaken("listenerMetadata", unheard)
	}
	return nil
}

// unheard is what the kernel does with calls that are to be told to a listener and have none (man 2 seccomp).
const unheard = "not supported: no listener is made, and without one the kernel answers each such call with ENOSYS"

func (r *Rule) check(path string) error {
	if len(r.Names) == 0 {
		return strict.Mistaken(path+".names", "missing")
	}
	for i, name := range r.Names {
		if _, ok := findSyscall(name); !ok {
			return strict.Mistaken(fmt.Sprintf("%s.names[%d]", path, i), "unknown system call %q", name)
		}
	}
	if err := checkAction(path, "action", r.Action, "errnoRet", r.ErrnoRet); err != nil {
		return err
	}
	for i, a := range r.Args {
		if a.Index >= argsMax {
			return strict.Mistaken(fmt.Sprintf("%s.args[%d].index", path, i), "%d is not one of 0 to %d", a.Index, argsMax-1)
		}
		if _, ok := operators[a.Op]; !ok {
			return strict.Mistaken(fmt.Sprintf("%s.args[%d].op", path, i), "unknown operator %q (%s)", a.Op, words(operators))
		}
	}
	if err := r.Includes.check(path + ".includes"); err != nil {
		return err
	}
	return r.Excludes.check(path + ".excludes")
}

// capability is the form of a capability's name. Which there are is the kernel's to say.
var capability = regexp.MustCompile(`^CAP_[A-Z_]+$`)

func (c *Condition) check(path string) error {
	for i, name := range c.Caps {
		if !capability.MatchString(name) {
			return strict.Mistaken(fmt.Sprintf("%s.caps[%d]", path, i), "want a capability like CAP_SYS_ADMIN, not %q", name)
		}
	}
	for i, arch := range c.Arches {
		if !slices.Contains(dockerArches, arch) {
			return strict.Mistaken(fmt.Sprintf("%s.arches[%d]", path, i), "unknown architecture %q (%s)", arch, strings.Join(dockerArches, ", "))
		}
	}
	return nil
}

func checkAction(path, key string, a specs.LinuxSeccompAction, errnoKey string, errno *uint) error {
	known, ok := actions[a]
	switch {
	case a == "":
		return strict.Mistaken(strict.Join(path, key), "missing")
	case a == specs.ActNotify:
		return strict.Mistaken(strict.Join(path, key), "%s is "+unheard, a)
	case !ok:
		return strict.Mistaken(strict.Join(path, key), "unknown action %q (%s)", a, words(actions))
	case errno != nil && known.errnoMax == 0:
		return strict.Mistaken(strict.Join(path, errnoKey), "%s takes no errno", a)
	case errno != nil && *errno > known.errnoMax:
		return strict.Mistaken(strict.Join(path, errnoKey), "%d is above %d, the largest of %s", *errno, known.errnoMax, a)
	}
	return nil
}

// words lists what may stand in place of a word that is not known.
func words[S ~string, V any](table map[S]V) string {
	all := make([]string, 0, len(table))
	for _, w := range slices.Sorted(maps.Keys(table)) {
		all = append(all, string(w))
	}
	return strings.Join(all, ", ")
}
