package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/aem-exec/aem-exec/internal/libseccomp"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// compared is one profile, and what libseccomp knows and made of it.
type compared struct {
	profile   *Profile // resolved
	random    bool     // and not one that somebody wrote
	native    Arch
	lacks     [archs]map[uint32]bool // numbers of calls whose names libseccomp does not know
	otherwise uint32
}

// reason is why our answer to a call may be another than libseccomp's; "" if nothing excuses it.
func (c *compared) reason(x call, ours, theirs uint32) string {
	a, known := ArchOf(x.audit, int(x.nr))
	if a == X86_64 && x.nr > sys.X32_SYSCALL_BIT { // of no architecture: beyond the numbers of both
		a = X32
	}
	listed := a == c.native || c.profile.lists(a) && slices.Contains(kernels[c.native], a)
	switch {
	case x.audit == sys.AUDIT_ARCH_X86_64 && c.native == X86_64 && x.nr == nobody:
		// A tracer's way to skip a call: the kernel answers itself what the tracer left (man 2 ptrace).
		if ours == unknown(c.otherwise) && theirs == c.otherwise || theirs == thread {
			return "a call that a tracer skips is an unknown one"
		}
	case !known || !listed:
		if ours == kill && theirs == thread {
			return "a foreign architecture ends the process, not the thread"
		}
	case c.lacks[a][x.nr]:
		if theirs == c.otherwise {
			return "newer than libseccomp"
		}
	case x.nr-archInfo[a].base > uint32(newest[a]) && strings.HasPrefix(SyscallName(a, int(x.nr)), "syscall "):
		if ours == unknown(c.otherwise) && theirs == c.otherwise {
			return "newer than our tables: ENOSYS, as runc puts before libseccomp's filter"
		}
	case ours != judge(c.profile.OCI(), c.native, x): // a plain reading of the profile says otherwise
	case a == X86 && c.behind(SyscallName(a, int(x.nr))):
		return "arguments of a call behind socketcall or ipc lie in memory: libseccomp tests the pointer to them"
	case c.random && c.mixed(SyscallName(a, int(x.nr))):
		return "libseccomp mixes up several tests of one argument, as argument < 1 with argument >= 1<<32"
	}
	return ""
}

// rulesFor is all that the profile says of a call.
func (c *compared) rulesFor(name string) (rules []specs.LinuxSyscall) {
	for _, r := range c.profile.Rules {
		if slices.Contains(r.Names, name) {
			rules = append(rules, r.LinuxSyscall)
		}
	}
	return rules
}

// behind reports whether a multiplexer stands for a call that has a rule with arguments.
func (c *compared) behind(multiplexer string) bool {
	for call := range multiplexers[multiplexer].calls {
		if slices.ContainsFunc(c.rulesFor(call), func(s specs.LinuxSyscall) bool { return len(s.Args) > 0 }) {
			return true
		}
	}
	return false
}

// mixed reports whether rules of a call test one argument more than once.
func (c *compared) mixed(name string) bool {
	seen := map[uint]bool{}
	for _, s := range c.rulesFor(name) {
		for _, a := range s.Args {
			if seen[a.Index] {
				return true
			}
			seen[a.Index] = true
		}
	}
	return false
}

// compare finds all calls that a program of ours answers otherwise than libseccomp's, and lists those without a reason.
// It counts the others by their reason.
func (c *compared) compare(t *testing.T, ours, theirs *Program, calls []call, reasons map[string]int) {
	t.Helper()
	us, them := machine(t, ours), machine(t, theirs)
	told := 0
	for _, x := range calls {
		mine, other := run(t, us, x), run(t, them, x)
		if mine == other {
			continue
		}
		if why := c.reason(x, mine, other); why != "" {
			reasons[why]++
			continue
		}
		if told++; told < 10 {
			a, _ := ArchOf(x.audit, int(x.nr))
			for _, r := range c.rulesFor(SyscallName(a, int(x.nr))) {
				t.Logf("default %v, rule %+v", c.profile.DefaultAction, r)
			}
			t.Errorf("%v, %v: %s (%d) %#x answers %#x, libseccomp %#x", c.native, a, SyscallName(a, int(x.nr)), x.nr, x.args, mine, other)
		}
	}
	if told > 0 {
		t.Errorf("%d of %d calls differ; libseccomp has %d instructions, we %d", told, len(calls), len(theirs.Insns), len(ours.Insns))
	}
}

// callsFor are calls of every number of every architecture that a filter can see, with arguments around the values that
// the profile tests and others.
func callsFor(p *Profile, native Arch, r *rand.Rand) []call {
	tested := map[string][]specs.LinuxSeccompArg{}
	for _, rule := range p.Rules {
		for _, name := range rule.Names {
			tested[name] = append(tested[name], rule.Args...)
		}
	}
	var calls []call
	for _, a := range []Arch{X86_64, X86, X32, AArch64, ARM} {
		base, most := archInfo[a].base, uint32(560)
		if a != native && !p.lists(a) {
			most = 10 // all of them are answered alike
		}
		numbers := []uint32{base + 600, base + 0xffff, nobody, 0x7fff_ffff, 0x8000_0000, 0x3fff_ffff, 0x4000_0000}
		for nr := range most {
			numbers = append(numbers, base+nr)
		}
		for nr := range uint32(8) {
			numbers = append(numbers, 0xf0000+nr)
		}
		for _, nr := range numbers {
			for range 2 {
				x := call{audit: a.Audit(), nr: nr}
				for i := range x.args {
					x.args[i] = randomWord(r)
				}
				calls = append(calls, x)
			}
			for _, arg := range tested[SyscallName(a, int(nr))] {
				for range 3 {
					x := call{audit: a.Audit(), nr: nr}
					for i := range x.args {
						x.args[i] = near(r, tested[SyscallName(a, int(nr))], uint(i))
					}
					x.args[arg.Index] = near(r, []specs.LinuxSeccompArg{arg}, arg.Index)
					calls = append(calls, x)
				}
			}
		}
	}
	return calls
}

// randomWord is any word, rather one with few bits in one of its halves.
func randomWord(r *rand.Rand) uint64 {
	words := []uint64{0, 1, 0xffff_ffff, 0x1_0000_0000, 0xffff_ffff_ffff_ffff, r.Uint64(), uint64(r.Uint32()), r.Uint64N(64)}
	return words[r.IntN(len(words))]
}

// near is a value around one that an argument is compared with.
func near(r *rand.Rand, args []specs.LinuxSeccompArg, index uint) uint64 {
	var values []uint64
	for _, a := range args {
		if a.Index != index {
			continue
		}
		values = append(values, a.Value, a.Value+1, a.Value-1, a.Value^1<<32, a.Value|1<<63, uint64(uint32(a.Value)))
		if a.Op == specs.OpMaskedEqual {
			values = append(values, a.ValueTwo, a.ValueTwo&a.Value, a.ValueTwo&a.Value|^a.Value, a.ValueTwo^1<<r.IntN(64))
		}
	}
	if len(values) == 0 || r.IntN(4) == 0 {
		return randomWord(r)
	}
	return values[r.IntN(len(values))]
}

// TestProgramsAgreeWithLibseccomp_R096 compares what our programs answer with what libseccomp's do: for built-in profiles,
// Docker's own file and random ones, every number of every architecture, and arguments around what the rules say.
func TestProgramsAgreeWithLibseccomp_R096(t *testing.T) {
	o := newOracle(t)
	reasons := map[string]int{}
	total := 0
	var lacks [archs]map[uint32]bool
	for a := range archs {
		lacks[a] = map[uint32]bool{}
		for i, known := range o.numbers(t, a) {
			if nr, ok := syscallTable[i].number(a); ok && known == -1 {
				lacks[a][nr] = true
			}
		}
	}
	compare := func(t *testing.T, p *Profile, random bool, native Arch, r *rand.Rand) {
		h := Host{Arch: native, Kernel: Kernel{6, 18}}
		p = p.Resolve(h)
		ours, err := Compile(p, h, Ready)
		if err != nil {
			t.Fatal(err)
		}
		c := &compared{p, random, native, lacks, answer(p.DefaultAction, p.DefaultErrnoRet)}
		for _, level := range []libseccomp.Optimize{libseccomp.InOrder, libseccomp.BinaryTree} {
			theirs, refused := o.program(t, p, native, level)
			if refused != "" {
				t.Fatal(refused)
			}
			if forgetful(theirs) {
				reasons["all of a program in which libseccomp forgot to load the number: it compares the architecture with numbers"]++
				continue
			}
			calls := callsFor(p, native, r)
			total += len(calls)
			c.compare(t, ours, theirs, calls, reasons)
		}
	}
	for name, p := range knownProfiles(t) {
		for native := range kernels {
			t.Run(fmt.Sprintf("%s on %v", name, native), func(t *testing.T) { compare(t, p, false, native, rand.New(rand.NewPCG(1, 2))) })
		}
	}
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 7))
		native := []Arch{X86_64, AArch64}[seed%2]
		t.Run(fmt.Sprintf("random %d on %v", seed, native), func(t *testing.T) { compare(t, randomProfile(r, native), true, native, r) })
	}
	t.Logf("%d answers compared", total)
	for why, n := range reasons {
		t.Logf("%d differ: %s", n, why)
	}
}

// forgetful reports whether a program goes on from the architecture to comparisons of a number that it has not loaded.
func forgetful(p *Program) bool {
	const equal, greaterOrEqual = 0x15, 0x35
	for i, in := range p.Insns {
		if in.Code == equal && in.K>>28 >= 4 { // AUDIT_ARCH_* of little-endian machines
			next := p.Insns[i+1+int(in.JT)]
			return next.Code == equal || next.Code == greaterOrEqual
		}
	}
	return false
}

func knownProfiles(t *testing.T) map[string]*Profile {
	known := map[string]*Profile{"docker": embedded(defaultProfile)}
	for _, name := range []string{Default, Handler} {
		for stage, word := range []string{Only: "only", Ready: "ready"} {
			if word == "" {
				continue
			}
			p, err := Builtin(name, Stage(stage), X86, X32, ARM)
			if err != nil {
				t.Fatal(err)
			}
			known[name+" "+word] = p
		}
	}
	return known
}

// randomProfile has one action besides the default's for each call: which of several wins where their conditions overlap
// is left open by libseccomp's documentation, and decided in our own (the first in the profile).
func randomProfile(r *rand.Rand, native Arch) *Profile {
	actions := []specs.LinuxSeccompAction{specs.ActKill, specs.ActKillProcess, specs.ActTrap, specs.ActErrno, specs.ActTrace, specs.ActAllow, specs.ActLog}
	ops := []specs.LinuxSeccompOperator{specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpEqualTo, specs.OpGreaterEqual,
		specs.OpGreaterThan, specs.OpMaskedEqual}
	p := &Profile{DefaultAction: actions[r.IntN(len(actions))]}
	for _, a := range kernels[native] {
		if r.IntN(2) == 0 {
			p.Architectures = append(p.Architectures, specs.Arch(a.Name()))
		}
	}
	chosen := map[string]specs.LinuxSeccompAction{"exit_group": specs.ActAllow}
	p.Rules = append(p.Rules, Rule{LinuxSyscall: specs.LinuxSyscall{Names: []string{"exit_group"}, Action: specs.ActAllow}})
	for range r.IntN(120) {
		row := &syscallTable[r.IntN(len(syscallTable))]
		if _, twice := chosen[row.name]; !twice {
			chosen[row.name] = actions[r.IntN(len(actions))]
		}
		s := specs.LinuxSyscall{Names: []string{row.name}, Action: chosen[row.name]}
		for range r.IntN(3) {
			s.Args = append(s.Args, specs.LinuxSeccompArg{Index: uint(r.IntN(6)), Op: ops[r.IntN(len(ops))], Value: randomWord(r), ValueTwo: randomWord(r)})
		}
		p.Rules = append(p.Rules, Rule{LinuxSyscall: s})
	}
	return p
}
