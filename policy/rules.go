package policy

import (
	"fmt"
	"math"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// rule answers a system call whose arguments pass all its tests.
type rule struct {
	answer uint32
	tests  []test
}

// test is a comparison of one argument: (argument & mask) relation value, or its contrary.
type test struct {
	arg      uint
	relation relation
	contrary bool
	mask     uint64
	value    uint64
}

type relation uint8

const (
	equal relation = iota
	greater
	greaterOrEqual
)

// operators reduces the seven operators to three relations and their contraries.
var operators = map[specs.LinuxSeccompOperator]struct {
	relation relation
	contrary bool
	masked   bool // value is the mask, valueTwo the value
}{
	specs.OpEqualTo:      {relation: equal},
	specs.OpNotEqual:     {relation: equal, contrary: true},
	specs.OpGreaterThan:  {relation: greater},
	specs.OpLessEqual:    {relation: greater, contrary: true},
	specs.OpGreaterEqual: {relation: greaterOrEqual},
	specs.OpLessThan:     {relation: greaterOrEqual, contrary: true},
	specs.OpMaskedEqual:  {relation: equal, masked: true},
}

// newTest compiles an argument of a checked profile. What the mask of MASKED_EQ leaves out of the argument it leaves
// out of the value too, as in libseccomp.
func newTest(a specs.LinuxSeccompArg) test {
	op := operators[a.Op]
	t := test{arg: a.Index, relation: op.relation, contrary: op.contrary, mask: math.MaxUint64, value: a.Value}
	if op.masked {
		t.mask, t.value = a.Value, a.Value&a.ValueTwo
	}
	return t
}

// verdict is what becomes of a system call: the answer of the first rule that passes. The last has no tests.
type verdict []rule

func always(answer uint32) verdict { return verdict{{answer: answer}} }

func (v verdict) equal(w verdict) bool {
	return slices.EqualFunc(v, w, func(a, b rule) bool {
		return a.answer == b.answer && slices.Equal(a.tests, b.tests)
	})
}

// book is a profile by the names of the system calls.
type book struct {
	otherwise uint32 // the default answer
	rules     map[string][]rule
}

// newBook orders the rules of a checked profile. Those with the default's answer say nothing and are left out, as by
// runc. A rule without tests wins over those that have some, as in libseccomp; apart from that the order of the
// profile decides: the first rule that passes.
func newBook(p *specs.LinuxSeccomp) *book {
	b := &book{answer(p.DefaultAction, p.DefaultErrnoRet), map[string][]rule{}}
	for i := range p.Syscalls {
		rules := newRules(&p.Syscalls[i])
		if rules[0].answer == b.otherwise {
			continue
		}
		for _, name := range p.Syscalls[i].Names {
			b.rules[name] = merge(b.rules[name], rules)
		}
	}
	return b
}

func merge(earlier, later []rule) []rule {
	switch {
	case final(earlier):
		return earlier
	case final(later):
		return later
	}
	return slices.Concat(earlier, later)
}

// final reports whether rules answer every call: such a rule stands alone.
func final(rules []rule) bool { return len(rules) == 1 && len(rules[0].tests) == 0 }

// verdict returns what becomes of a system call.
func (b *book) verdict(name string) verdict {
	rules := b.rules[name]
	if final(rules) {
		return rules
	}
	return append(slices.Clip(rules), rule{answer: b.otherwise})
}

// newRules compiles one entry of a profile. Its arguments must all pass; but if it tests one argument twice, each test
// is a rule of its own and one that passes is enough. Profiles rely on this oddity of runc's.
func newRules(s *specs.LinuxSyscall) []rule {
	all := rule{answer: answer(s.Action, s.ErrnoRet)}
	var apart []rule
	var seen [argsMax]bool
	twice := false
	for _, a := range s.Args {
		t := newTest(a)
		all.tests = append(all.tests, t)
		apart = append(apart, rule{all.answer, []test{t}})
		twice = twice || seen[a.Index]
		seen[a.Index] = true
	}
	if twice {
		return apart
	}
	return []rule{all}
}

// answer is what the filter returns for an action; one that takes an errno and has none is EPERM.
func answer(a specs.LinuxSeccompAction, errno *uint) uint32 {
	const eperm = 1
	switch known := actions[a]; {
	case known.errnoMax == 0:
		return known.answer
	case errno == nil:
		return known.answer | eperm
	default:
		return known.answer | uint32(*errno)
	}
}

// denies reports whether a call fails whatever its arguments.
func (b *book) denies(name string) bool {
	return !slices.ContainsFunc(b.verdict(name), func(r rule) bool {
		return r.answer == sys.SECCOMP_RET_ALLOW || r.answer == sys.SECCOMP_RET_LOG
	})
}

// vital are the calls without which no handler can run, and what would become of it.
var vital = []struct{ name, consequence string }{
	{"execve", "the handler could never start"},
	{"exit_group", "the handler could never end"},
}

// checkVital refuses a profile under which no handler can run.
func (b *book) checkVital() error {
	for _, call := range vital {
		if b.denies(call.name) {
			return fmt.Errorf("seccomp denies %s: %s", call.name, call.consequence)
		}
	}
	return nil
}

// unknown is the answer to numbers that no table has: ENOSYS, which programs take as a hint to try an older call,
// unless the default is to let calls pass or to ask a tracer (runc does so from the highest number the profile
// names; here a profile is trusted to deny every call that the tables know).
func (b *book) unknown() verdict {
	const enosys = 38
	switch b.otherwise & sys.SECCOMP_RET_ACTION_FULL {
	case sys.SECCOMP_RET_ALLOW, sys.SECCOMP_RET_LOG, sys.SECCOMP_RET_TRACE:
		return always(b.otherwise)
	}
	return always(sys.SECCOMP_RET_ERRNO | enosys)
}
