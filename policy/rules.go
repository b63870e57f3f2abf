package policy

import (
	"math"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/aem-exec/aem-exec/internal/strict"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// rule answers a system call whose arguments pass all its tests.
type rule struct {
	answer uint32
	tests  []test
	from   *Rule // the profile's entry; nil for what is added to it
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
	unknown   uint32 // to numbers that no table has
	foreign   uint32 // to calls of architectures that are not listed
	rules     map[string][]rule
}

// newBook orders the rules of a profile without conditions. Those with the default's answer say nothing and are left
// out, as by runc. A rule without tests wins over those that have some, as in libseccomp; apart from that the order of
// the profile decides: the first rule that passes. Two rules for the same calls with different answers are a mistake,
// as in libseccomp.
func newBook(p *Profile) (*book, error) {
	b := &book{otherwise: answer(p.DefaultAction, p.DefaultErrnoRet), foreign: sys.SECCOMP_RET_KILL_PROCESS, rules: map[string][]rule{}}
	b.unknown = unknown(b.otherwise)
	for i := range p.Rules {
		rules := newRules(&p.Rules[i])
		if rules[0].answer == b.otherwise {
			continue
		}
		for _, name := range p.Rules[i].Names {
			if old := contrary(b.rules[name], rules); old != nil {
				return nil, strict.Mistaken(rulePath(i), "%s is %s here and %s in %s", name, p.Rules[i].Action, old.Action, old.at)
			}
			b.rules[name] = merge(b.rules[name], rules)
		}
	}
	if p.LogOnly {
		b.soften()
	}
	return b, nil
}

// contrary returns the entry of an earlier rule that answers the same calls differently.
func contrary(earlier, later []rule) *Rule {
	for _, e := range earlier {
		for _, l := range later {
			if e.answer != l.answer && slices.Equal(e.tests, l.tests) {
				return e.from
			}
		}
	}
	return nil
}

// merge puts the rules of a later entry to those of earlier ones.
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

// soften turns every denial into a record.
func (b *book) soften() {
	for _, a := range []*uint32{&b.otherwise, &b.unknown, &b.foreign} {
		*a = softened(*a)
	}
	for _, rules := range b.rules {
		for i := range rules {
			rules[i].answer = softened(rules[i].answer)
		}
	}
}

func softened(answer uint32) uint32 {
	if answer == sys.SECCOMP_RET_ALLOW {
		return answer
	}
	return sys.SECCOMP_RET_LOG
}

// verdict returns what becomes of a system call.
func (b *book) verdict(name string) verdict { return b.close(b.rules[name]) }

// close puts the default behind rules, but for those at the end that answer the same.
func (b *book) close(rules []rule) verdict {
	if final(rules) {
		return rules
	}
	for n := len(rules); n > 0 && rules[n-1].answer == b.otherwise; n-- {
		rules = rules[:n-1]
	}
	return append(slices.Clip(rules), rule{answer: b.otherwise})
}

// newRules compiles one entry of a profile. Its arguments must all pass; but if it tests one argument twice, each test
// is a rule of its own and one that passes is enough. Profiles rely on this oddity of runc's.
func newRules(s *Rule) []rule {
	all := rule{answer: answer(s.Action, s.ErrnoRet), from: s}
	var apart []rule
	var seen [argsMax]bool
	twice := false
	for _, a := range s.Args {
		t := newTest(a)
		all.tests = append(all.tests, t)
		apart = append(apart, rule{all.answer, []test{t}, s})
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
	return !slices.ContainsFunc(b.verdict(name), func(r rule) bool { return passes(r.answer) })
}

// passes reports whether an answer lets a call pass.
func passes(answer uint32) bool {
	return answer == sys.SECCOMP_RET_ALLOW || answer == sys.SECCOMP_RET_LOG
}

// unknown is the answer to numbers that no table has, where the default one is otherwise: ENOSYS, which programs take
// as a hint to try an older call, unless the default is to let calls pass or to ask a tracer (runc does so from the
// highest number the profile names; here a profile is trusted to deny every call that the tables know).
func unknown(otherwise uint32) uint32 {
	const enosys = 38
	switch otherwise & sys.SECCOMP_RET_ACTION_FULL {
	case sys.SECCOMP_RET_ALLOW, sys.SECCOMP_RET_LOG, sys.SECCOMP_RET_TRACE:
		return otherwise
	}
	return sys.SECCOMP_RET_ERRNO | enosys
}
