package policy

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// Summary is what a profile comes to on a host, by the names of the system calls of its own architecture.
type Summary struct {
	Instructions  int
	Architectures []specs.Arch // whose programs may run
	Otherwise     Answer       // what no rule says anything of
	Newer         Answer       // to calls that the tables here do not know
	Foreign       Answer       // to calls of other architectures
	Calls         []Call       // in the order of the names
}

// Passes reports whether some call of a name is made. Without a profile, as that of a nil Summary, all are.
func (s *Summary) Passes(name string) bool {
	if s == nil {
		return true
	}
	i := slices.IndexFunc(s.Calls, func(c Call) bool { return c.Name == name })
	return i >= 0 && slices.ContainsFunc(s.Calls[i].Cases, func(c Case) bool { return c.Answer.Passes() })
}

// Call is what becomes of a system call: the first condition that holds decides, and otherwise the last answer, which has
// no condition.
type Call struct {
	Name  string
	Cases []Case
}

// Case is an answer, and when it is given.
type Case struct {
	If     string // as arg0 & 0x7e020000 == 0 && arg1 < 3; empty: always
	Answer Answer
}

// Answer is what the kernel does with a call, as a filter says it (SECCOMP_RET_*).
type Answer uint32

// Passes reports whether the call is made.
func (a Answer) Passes() bool { return passes(uint32(a)) }

func (a Answer) String() string {
	switch data := uint32(a) & sys.SECCOMP_RET_DATA; uint32(a) & sys.SECCOMP_RET_ACTION_FULL {
	case sys.SECCOMP_RET_ALLOW:
		return "allow"
	case sys.SECCOMP_RET_LOG:
		return "log"
	case sys.SECCOMP_RET_TRACE:
		return fmt.Sprintf("trace %d", data)
	case sys.SECCOMP_RET_TRAP:
		return "trap"
	case sys.SECCOMP_RET_KILL_THREAD:
		return "kill thread"
	case sys.SECCOMP_RET_KILL_PROCESS:
		return "kill process"
	case sys.SECCOMP_RET_ERRNO:
		if name := sys.ErrnoName(syscall.Errno(data)); name != "" {
			return "errno " + name
		}
		return fmt.Sprintf("errno %d", data)
	}
	return fmt.Sprintf("%#x", uint32(a))
}

// Summarize says what the filter of a profile does.
func Summarize(p *Profile, h Host, s Stage) (*Summary, error) {
	prog, err := Compile(p, h, s)
	if err != nil {
		return nil, err
	}
	p = p.Resolve(h)
	b, err := newBook(p)
	if err != nil {
		return nil, err
	}
	sum := &Summary{
		Instructions: len(prog.Insns), Otherwise: Answer(b.otherwise), Newer: Answer(b.unknown), Foreign: Answer(b.foreign),
		Architectures: []specs.Arch{specs.Arch(h.Arch.Name())},
	}
	for _, a := range kernels[h.Arch] {
		if p.lists(a) {
			sum.Architectures = append(sum.Architectures, specs.Arch(a.Name()))
		}
	}
	for i := range syscallTable {
		row := &syscallTable[i]
		if _, ok := row.number(h.Arch); !ok {
			continue
		}
		call := Call{Name: row.name}
		for _, r := range b.verdictOn(h.Arch, row.name) {
			call.Cases = append(call.Cases, Case{r.condition(), Answer(r.answer)})
		}
		sum.Calls = append(sum.Calls, call)
	}
	return sum, nil
}

// condition is the tests of a rule in words, empty if it has none.
func (r *rule) condition() string {
	var all []string
	for _, t := range r.tests {
		all = append(all, t.String())
	}
	return strings.Join(all, " && ")
}

func (t test) String() string {
	signs := map[relation][2]string{equal: {"==", "!="}, greater: {">", "<="}, greaterOrEqual: {">=", "<"}}
	sign := signs[t.relation][0]
	if t.contrary {
		sign = signs[t.relation][1]
	}
	if t.mask != math.MaxUint64 {
		return fmt.Sprintf("arg%d & %#x %s %#x", t.arg, t.mask, sign, t.value)
	}
	return fmt.Sprintf("arg%d %s %#x", t.arg, sign, t.value)
}
