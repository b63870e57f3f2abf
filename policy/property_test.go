package policy

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"pgregory.net/rapid"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// judge answers a call by reading the profile from its start, for a kernel of an architecture: what Compile must agree
// with.
func judge(p *specs.LinuxSeccomp, native Arch, c call) uint32 {
	a, ok := ArchOf(c.audit, int(c.nr))
	listed := a == native
	for _, name := range p.Architectures {
		listed = listed || string(name) == a.Name() && slices.Contains(kernels[native], a)
	}
	name := SyscallName(a, int(c.nr))
	otherwise := errnoAnswer(p.DefaultAction, p.DefaultErrnoRet)
	nameless := strings.HasPrefix(name, "syscall ")
	if c.audit == sys.AUDIT_ARCH_X86_64 && native == X86_64 && c.nr == nobody || ok && listed && nameless && c.nr-archInfo[a].base > 471 {
		switch p.DefaultAction {
		case specs.ActAllow, specs.ActLog, specs.ActTrace:
			return otherwise
		}
		return enosys
	}
	if !ok || !listed {
		return kill
	}
	if answer, ok := find(p, name, func(s specs.LinuxSyscall) bool { return len(s.Args) == 0 }); ok {
		return answer
	}
	if answer, ok := find(p, name, func(s specs.LinuxSyscall) bool { return allPass(s.Args, c.args, a) }); ok {
		return answer
	}
	if a == X86 && name == "socketcall" && uint32(c.args[0]) == 1 {
		if answer, ok := find(p, "socket", func(s specs.LinuxSyscall) bool { return len(s.Args) == 0 }); ok {
			return answer
		}
	}
	return otherwise
}

// find returns the answer of the first rule for a name that a condition is true of and that is not the default's.
func find(p *specs.LinuxSeccomp, name string, condition func(specs.LinuxSyscall) bool) (uint32, bool) {
	for _, s := range p.Syscalls {
		answer := errnoAnswer(s.Action, s.ErrnoRet)
		if s.Names[0] == name && answer != errnoAnswer(p.DefaultAction, p.DefaultErrnoRet) && condition(s) {
			return answer, true
		}
	}
	return 0, false
}

func errnoAnswer(a specs.LinuxSeccompAction, errno *uint) uint32 {
	if errno != nil {
		return actions[a].answer | uint32(*errno)
	}
	if a == specs.ActErrno || a == specs.ActTrace {
		return actions[a].answer | 1
	}
	return actions[a].answer
}

// allPass reports whether all arguments hold, or any if one is tested twice.
func allPass(args []specs.LinuxSeccompArg, values [argsMax]uint64, a Arch) bool {
	seen := map[uint]int{}
	held := 0
	for _, arg := range args {
		seen[arg.Index]++
		if holds(arg, values[arg.Index], archInfo[a].wide) {
			held++
		}
	}
	for _, times := range seen {
		if times > 1 {
			return held > 0
		}
	}
	return held == len(args)
}

func holds(arg specs.LinuxSeccompArg, v uint64, wide bool) bool {
	one, two := arg.Value, arg.ValueTwo
	if !wide {
		v, one, two = uint64(uint32(v)), uint64(uint32(one)), uint64(uint32(two))
	}
	switch arg.Op {
	case specs.OpNotEqual:
		return v != one
	case specs.OpLessThan:
		return v < one
	case specs.OpLessEqual:
		return v <= one
	case specs.OpEqualTo:
		return v == one
	case specs.OpGreaterEqual:
		return v >= one
	case specs.OpGreaterThan:
		return v > one
	default:
		return v&one == two&one
	}
}

// The generators draw from few values, so that rules meet each other and the calls.
var (
	drawWord  = rapid.SampledFrom([]uint64{0, 1, 2, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff})
	drawValue = rapid.Custom(func(t *rapid.T) uint64 { return drawWord.Draw(t, "high")<<32 | drawWord.Draw(t, "low") })
	drawName  = rapid.SampledFrom([]string{"read", "write", "ioctl", "socket", "openat", "clone3", "socketcall", "personality"})
	drawError = rapid.SampledFrom([]uint{0, 1, 25, 38})
)

func drawAction(t *rapid.T) (specs.LinuxSeccompAction, *uint) {
	a := rapid.SampledFrom([]specs.LinuxSeccompAction{specs.ActKill, specs.ActKillProcess, specs.ActTrap, specs.ActErrno,
		specs.ActTrace, specs.ActAllow, specs.ActLog}).Draw(t, "action")
	if actions[a].errnoMax == 0 || rapid.Bool().Draw(t, "no errno") {
		return a, nil
	}
	e := drawError.Draw(t, "errno")
	return a, &e
}

func drawProfile(t *rapid.T) *specs.LinuxSeccomp {
	p := &specs.LinuxSeccomp{Architectures: rapid.SliceOfN(rapid.SampledFrom([]specs.Arch{
		specs.ArchX86, specs.ArchX32, specs.ArchX86_64, specs.ArchARM}), 0, 3).Draw(t, "architectures")}
	p.DefaultAction, p.DefaultErrnoRet = drawAction(t)
	for _, name := range []string{"execve", "exit_group"} {
		p.Syscalls = append(p.Syscalls, specs.LinuxSyscall{Names: []string{name}, Action: specs.ActAllow})
	}
	for range rapid.IntRange(0, 12).Draw(t, "rules") {
		s := specs.LinuxSyscall{Names: []string{drawName.Draw(t, "name")}}
		s.Action, s.ErrnoRet = drawAction(t)
		for range rapid.IntRange(0, 3).Draw(t, "args") {
			s.Args = append(s.Args, specs.LinuxSeccompArg{
				Index: rapid.UintRange(0, 2).Draw(t, "index"),
				Op: rapid.SampledFrom([]specs.LinuxSeccompOperator{specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual,
					specs.OpEqualTo, specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpMaskedEqual}).Draw(t, "op"),
				Value: drawValue.Draw(t, "value"), ValueTwo: drawValue.Draw(t, "valueTwo"),
			})
		}
		p.Syscalls = append(p.Syscalls, s)
	}
	return p
}

func drawCall(t *rapid.T) call {
	c := call{audit: rapid.SampledFrom([]uint32{sys.AUDIT_ARCH_X86_64, sys.AUDIT_ARCH_X86_64, sys.AUDIT_ARCH_I386,
		sys.AUDIT_ARCH_AARCH64}).Draw(t, "arch")}
	a := rapid.SampledFrom([]Arch{X86_64, X86, X32}).Draw(t, "number of")
	nr, ok := SyscallNumber(a, drawName.Draw(t, "call"))
	if !ok || rapid.IntRange(0, 4).Draw(t, "odd number") == 0 {
		nr = rapid.IntRange(0, 600).Draw(t, "nr") | rapid.SampledFrom([]int{0, sys.X32_SYSCALL_BIT, 0xffff_ffff}).Draw(t, "bits")
	}
	c.nr = uint32(nr)
	for i := range c.args[:3] {
		c.args[i] = drawValue.Draw(t, "argument")
	}
	return c
}

// agree draws a profile and calls, and compares the program's answers with the profile's.
func agree(t *rapid.T) {
	p := drawProfile(t)
	profile, err := FromOCI(p)
	if want := contradicts(p); want != (err != nil) {
		t.Fatalf("error is %v; a contradiction: %v", err, want)
	}
	if err != nil {
		return
	}
	profile.LogOnly = rapid.Bool().Draw(t, "log only")
	prog, err := Compile(profile, Host{Arch: X86_64}, Only)
	if err != nil {
		t.Fatal(err)
	}
	vm := machine(t, prog)
	for range 20 {
		c := drawCall(t)
		want := judge(p, X86_64, c)
		if profile.LogOnly && want != allow {
			want = record
		}
		if got := run(t, vm, c); got != want {
			t.Fatalf("%+v answers %#x, want %#x", c, got, want)
		}
	}
}

// contradicts reports whether two rules of a profile answer the same calls differently.
func contradicts(p *specs.LinuxSeccomp) bool {
	seen := map[string]uint32{} // by name and tests
	for _, s := range p.Syscalls {
		answer := errnoAnswer(s.Action, s.ErrnoRet)
		if answer == errnoAnswer(p.DefaultAction, p.DefaultErrnoRet) {
			continue
		}
		for _, tests := range alternatives(s.Args) {
			key := s.Names[0] + tests
			if other, ok := seen[key]; ok && other != answer {
				return true
			}
			seen[key] = answer
		}
	}
	return false
}

// alternatives are the tests of a rule in words: all together, or each alone if one argument is tested twice.
func alternatives(args []specs.LinuxSeccompArg) []string {
	all, twice := "", false
	var each []string
	seen := map[uint]bool{}
	for _, a := range args {
		op, one, two := a.Op, a.Value, uint64(0)
		switch op {
		case specs.OpMaskedEqual:
			two = a.ValueTwo & one
		case specs.OpEqualTo: // the same with all bits
			op, one, two = specs.OpMaskedEqual, math.MaxUint64, one
		}
		word := fmt.Sprintf(" %d %s %d %d", a.Index, op, one, two)
		all += word
		each = append(each, word)
		twice = twice || seen[a.Index]
		seen[a.Index] = true
	}
	if twice {
		return each
	}
	return []string{all}
}

func TestProgramAgreesWithProfile(t *testing.T) { rapid.Check(t, agree) }

// TestLongProgram has leaves of all lengths around a conditional jump's reach and beyond, to be jumped over and between.
func TestLongProgram(t *testing.T) {
	for length := range uint64(200) {
		p := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow}
		for i := range length {
			errno := uint(i % 90)
			for _, name := range []string{"read", "ioctl", "clone3"} {
				p.Syscalls = append(p.Syscalls, specs.LinuxSyscall{Names: []string{name}, Action: specs.ActErrno, ErrnoRet: &errno,
					Args: []specs.LinuxSeccompArg{{Index: uint(i % 5), Value: i, Op: specs.OpEqualTo},
						{Index: 5, Value: i, Op: specs.OpLessEqual}}})
			}
		}
		profile, err := FromOCI(p)
		if err != nil {
			t.Fatal(err)
		}
		prog, err := Compile(profile, Host{Arch: X86_64}, Only)
		if err != nil {
			t.Fatal(err)
		}
		vm := machine(t, prog)
		check := func(c call) {
			if got, want := run(t, vm, c), judge(p, X86_64, c); got != want {
				t.Fatalf("%d rules: %+v answers %#x, want %#x", length, c, got, want)
			}
		}
		for _, name := range []string{"read", "write", "lseek", "rt_sigprocmask", "ioctl", "pread64", "io_uring_setup", "pidfd_open",
			"clone3", "close_range", "openat2"} {
			last := length - 1
			for _, v := range []uint64{0, 1, length / 2, last, length} {
				check(callOf(t, X86_64, name, v, v, v, v, v, v))
			}
		}
		for _, nr := range []uint32{472, 600, sys.X32_SYSCALL_BIT - 1, sys.X32_SYSCALL_BIT, nobody - 1, nobody} {
			check(call{audit: sys.AUDIT_ARCH_X86_64, nr: nr})
		}
	}
}

// FuzzCompile looks for profiles and calls on which program and profile disagree.
func FuzzCompile(f *testing.F) { f.Fuzz(rapid.MakeFuzz(agree)) }
