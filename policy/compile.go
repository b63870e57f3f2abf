package policy

import (
	"fmt"
	"math"
	"slices"

	"golang.org/x/net/bpf"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// Program is a compiled profile: what seccomp(2) takes with SECCOMP_SET_MODE_FILTER.
type Program struct {
	Insns []sys.SockFilter
	Flags uint32 // SECCOMP_FILTER_FLAG_*
}

// Compile makes the filter of a profile for a host. Native calls are always part of it, and those of the profile's other
// architectures as far as the host's kernel has them; calls of any other end the process (libseccomp ends the thread,
// which can leave the program hanging instead).
//
// The program is one search over ranges of numbers with the same answer per architecture, and tests of arguments as its
// leaves. Its length matters, and the way to each number: when it is installed the kernel translates it, and runs it
// once for each number to learn which are always allowed (kernel/seccomp.c, seccomp_cache_prepare).
func Compile(p *Profile, h Host, s Stage) (*Program, error) {
	if _, ok := kernels[h.Arch]; !ok {
		return nil, fmt.Errorf("compile seccomp: no kernel has %v as its own architecture", h.Arch)
	}
	p = p.Resolve(h)
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("compile seccomp: %v", err)
	}
	b, err := newBook(p)
	if err != nil {
		return nil, fmt.Errorf("compile seccomp: %v", err)
	}
	if err := b.checkVital(s); err != nil {
		return nil, err
	}
	insns := assemble(sections(b, h.Arch, p), b.foreign)
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
	weight  int  // how many of its numbers the kernel looks at when the filter is installed
}

// nobody is the number a tracer sets to skip a call (man 2 ptrace): no call of x32, though it has the bit.
const nobody = math.MaxUint32

// sections lays out the numbers of all architectures of a profile, the native one first because it is met most.
func sections(b *book, native Arch, p *Profile) []section {
	own := appendSpans(nil, b, native)
	var others []section
	for _, a := range kernels[native] {
		switch listed := p.lists(a); {
		case a == X32 && listed:
			own = appendSpans(own, b, X32)
		case a == X32:
			own = extend(own, span{first: sys.X32_SYSCALL_BIT, verdict: always(b.foreign)})
		case listed:
			others = append(others, section{a.Audit(), appendSpans(nil, b, a)})
		}
	}
	if native == X86_64 {
		own = extend(own, span{first: nobody, verdict: always(b.unknown)})
	}
	return append([]section{{native.Audit(), own}}, others...)
}

// appendSpans appends the spans of an architecture, up to the last possible number.
func appendSpans(spans []span, b *book, a Arch) []span {
	base, wide := archInfo[a].base, archInfo[a].wide
	weigh := func(from, to uint32) int { // x32 has no share in the kernel's look
		return int(min(to, uint32(newest[a])+1)) - int(min(from, uint32(newest[a])+1))
	}
	next := base
	gap := func(to uint32) { // numbers that no call has
		if middle := min(to, base+uint32(newest[a])+1); next < middle {
			spans = extend(spans, span{next, always(b.otherwise), wide, weigh(next, middle)})
			next = middle
		}
		if next < to {
			spans = extend(spans, span{next, always(b.unknown), wide, weigh(next, to)})
		}
	}
	for _, i := range byNumber(a) {
		row := &syscallTable[i]
		nr, _ := row.number(a)
		gap(nr)
		spans = extend(spans, span{nr, b.verdictOn(a, row.name), wide, weigh(nr, nr+1)})
		next = nr + 1
	}
	return extend(spans, span{first: next, verdict: always(b.unknown), wide: wide})
}

// byNumber lists the rows of the table that an architecture has, in the order of the numbers.
func byNumber(a Arch) []int {
	var rows []int
	for i := range syscallTable {
		if syscallTable[i].nr[a] != absent {
			rows = append(rows, i)
		}
	}
	slices.SortFunc(rows, func(i, j int) int { return int(syscallTable[i].nr[a] - syscallTable[j].nr[a]) })
	return rows
}

// extend appends a span, or lets the last one go on where the verdict stays.
func extend(spans []span, s span) []span {
	s.wide = s.wide && len(s.verdict) > 1 // matters to tests alone
	if n := len(spans); n > 0 && spans[n-1].wide == s.wide && spans[n-1].verdict.equal(s.verdict) {
		spans[n-1].weight += s.weight
		return spans
	}
	return append(spans, s)
}
