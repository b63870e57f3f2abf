package policy

import (
	"fmt"
	"math"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// Program is a compiled profile: what seccomp(2) takes with SECCOMP_SET_MODE_FILTER.
type Program struct {
	Insns []sys.SockFilter
	Flags uint32 // SECCOMP_FILTER_FLAG_*
}

// Compile makes the filter of a profile for a kernel of the native architecture. Native calls are always part of it,
// and those of the profile's other architectures as far as that kernel has them; calls of any other end the process
// (libseccomp ends the thread, which can leave the program hanging instead).
//
// The program is one binary search over ranges of numbers with the same answer per architecture, and tests of
// arguments as its leaves. Its length matters: when it is installed the kernel runs it once for each number to learn
// which are always allowed (kernel/seccomp.c, seccomp_cache_prepare).
func Compile(p *specs.LinuxSeccomp, native Arch) (*Program, error) {
	if native != X86_64 && native != AArch64 {
		return nil, fmt.Errorf("compile seccomp: no kernel has %v as its own architecture", native)
	}
	if err := check(p); err != nil {
		return nil, fmt.Errorf("compile seccomp: %v", err)
	}
	b := newBook(p)
	if err := b.checkVital(); err != nil {
		return nil, err
	}
	insns := assemble(sections(b, native, p.Architectures))
	if len(insns) > sys.BPF_MAXINSNS {
		return nil, fmt.Errorf("compile seccomp: %d instructions, and the kernel takes %d", len(insns), sys.BPF_MAXINSNS)
	}
	raw, err := bpf.Assemble(insns)
	if err != nil {
		return nil, fmt.Errorf("compile seccomp: %v", err)
	}
	prog := &Program{Insns: make([]sys.SockFilter, len(raw))}
	for i, in := range raw {
		prog.Insns[i] = sys.SockFilter{Code: in.Op, JT: in.Jt, JF: in.Jf, K: in.K}
	}
	for _, f := range p.Flags {
		prog.Flags |= flags[f]
	}
	return prog, nil
}

// section is the part of a program for one AUDIT_ARCH value; its spans cover all numbers, in order.
type section struct {
	audit uint32
	spans []span
}

// span is a range of system call numbers with one verdict, up to the first of the next.
type span struct {
	first   uint32
	verdict verdict
	wide    bool // arguments have 64 bits
}

// nobody is the number a tracer sets to skip a call (man 2 ptrace): no call of x32, though it has the bit.
const nobody = math.MaxUint32

// sections lays out the numbers of all architectures of a profile, the native one first because it is met most.
func sections(b *book, native Arch, others []specs.Arch) []section {
	listed := func(a Arch) bool { return slices.Contains(others, specs.Arch(a.Name())) }
	own := appendSpans(nil, b, native)
	if native != X86_64 {
		return []section{{native.Audit(), own}}
	}
	if listed(X32) {
		own = appendSpans(own, b, X32)
	} else {
		own = extend(own, span{first: sys.X32_SYSCALL_BIT, verdict: always(sys.SECCOMP_RET_KILL_PROCESS)})
	}
	own = extend(own, span{first: nobody, verdict: b.unknown()})
	if !listed(X86) {
		return []section{{native.Audit(), own}}
	}
	return []section{{native.Audit(), own}, {X86.Audit(), appendSpans(nil, b, X86)}}
}

// appendSpans appends the spans of an architecture, up to the last possible number.
func appendSpans(spans []span, b *book, a Arch) []span {
	verdicts := map[uint32]verdict{}
	base := archInfo[a].base
	named, last := base+uint32(newest[a]), base
	for i := range syscallTable {
		if nr, ok := syscallTable[i].number(a); ok {
			verdicts[nr] = b.verdictOn(a, syscallTable[i].name)
			last = max(last, nr)
		}
	}
	for nr := base; nr <= last+1; nr++ {
		v, ok := verdicts[nr]
		if !ok && nr > named {
			v = b.unknown()
		} else if !ok {
			v = always(b.otherwise)
		}
		spans = extend(spans, span{nr, v, archInfo[a].wide})
	}
	return spans
}

// extend appends a span, or lets the last one go on where the verdict stays.
func extend(spans []span, s span) []span {
	s.wide = s.wide && len(s.verdict) > 1 // matters to tests alone
	if n := len(spans); n > 0 && spans[n-1].wide == s.wide && spans[n-1].verdict.equal(s.verdict) {
		return spans
	}
	return append(spans, s)
}
