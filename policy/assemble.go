package policy

import (
	"fmt"
	"slices"

	"golang.org/x/net/bpf"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// Offsets in struct seccomp_data (linux/seccomp.h). An argument is two words, the low one first: all architectures
// here are little-endian.
const (
	offsetNumber = 0
	offsetArch   = 4
	offsetArgs   = 16
	wordSize     = 4
)

// assembler writes a program from its end to its start, so that every jump goes to what is already written and its
// length is known. A conditional jump reaches 255 instructions; for what is farther an answer is written once more,
// and to anything else an unconditional jump is put in between.
type assembler struct {
	code    []bpf.Instruction // the last of the program first
	answers map[uint32]int    // where each answer was written last
	leaves  map[string]target // what tests the arguments, by verdict
}

// target is where a jump goes: an answer, or an instruction that is written.
type target struct {
	answer uint32
	at     int // in code; unwritten for an answer, which may be written again
}

const unwritten = -1

// reach is the longest conditional jump, less the instruction that bringing its other target near may put in between.
const reach = 254

var jumps = [...]bpf.JumpTest{equal: bpf.JumpEqual, greater: bpf.JumpGreaterThan, greaterOrEqual: bpf.JumpGreaterOrEqual}

func assemble(all []section) []bpf.Instruction {
	a := &assembler{answers: map[uint32]int{}, leaves: map[string]target{}}
	next := target{sys.SECCOMP_RET_KILL_PROCESS, unwritten}
	for _, s := range slices.Backward(all) {
		next = a.jump(bpf.JumpEqual, s.audit, a.load(offsetNumber, a.search(s.spans)), next)
	}
	a.load(offsetArch, next)
	slices.Reverse(a.code)
	return a.code
}

// search finds the span of the loaded number.
func (a *assembler) search(spans []span) target {
	if len(spans) == 1 {
		return a.leaf(spans[0])
	}
	middle := len(spans) / 2
	high := a.search(spans[middle:])
	low := a.search(spans[:middle])
	return a.jump(bpf.JumpGreaterOrEqual, spans[middle].first, high, low)
}

// leaf gives the verdict of a span; equal ones that test arguments are written once.
func (a *assembler) leaf(s span) target {
	rules, last := s.verdict[:len(s.verdict)-1], s.verdict[len(s.verdict)-1]
	next := target{last.answer, unwritten}
	if len(rules) == 0 {
		return next
	}
	key := fmt.Sprint(s.wide, s.verdict)
	if written, ok := a.leaves[key]; ok {
		return written
	}
	for _, r := range slices.Backward(rules) {
		pass := target{r.answer, unwritten}
		for _, t := range slices.Backward(r.tests) {
			pass = a.test(t, s.wide, pass, next)
		}
		next = pass
	}
	a.leaves[key] = next
	return next
}

// test compares one argument. Programs of 32 bits pass arguments of 32 bits: there only the low words count, of the
// argument and of the value, as in libseccomp.
func (a *assembler) test(t test, wide bool, yes, no target) target {
	if t.contrary {
		yes, no = no, yes
	}
	low := offsetArgs + uint32(t.arg)*2*wordSize
	high := low + wordSize
	lowValue, highValue := uint32(t.value), uint32(t.value>>32)
	if t.relation == equal {
		pass := a.equal(low, uint32(t.mask), lowValue, yes, no)
		if wide {
			pass = a.equal(high, uint32(t.mask>>32), highValue, pass, no)
		}
		return pass
	}
	pass := a.load(low, a.jump(jumps[t.relation], lowValue, yes, no))
	if wide {
		pass = a.jump(bpf.JumpEqual, highValue, pass, no)
		pass = a.load(high, a.jump(bpf.JumpGreaterThan, highValue, yes, pass))
	}
	return pass
}

// equal compares the masked word at an offset. A mask of nothing is always equal.
func (a *assembler) equal(offset, mask, value uint32, yes, no target) target {
	if mask == 0 {
		return yes
	}
	next := a.jump(bpf.JumpEqual, value, yes, no)
	if mask != ^uint32(0) {
		next = a.write(bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: mask})
	}
	return a.load(offset, next)
}

// load writes a load before next, which is what was written last, or an answer, which needs none.
func (a *assembler) load(offset uint32, next target) target {
	if next.at == unwritten {
		return next
	}
	return a.write(bpf.LoadAbsolute{Off: offset, Size: wordSize})
}

// jump writes a conditional jump.
func (a *assembler) jump(cond bpf.JumpTest, value uint32, yes, no target) target {
	yesAt, noAt := a.near(yes), a.near(no)
	at := len(a.code)
	return a.write(bpf.JumpIf{Cond: cond, Val: value, SkipTrue: uint8(at - yesAt - 1), SkipFalse: uint8(at - noAt - 1)})
}

// near returns an instruction that leads to t and is within reach.
func (a *assembler) near(t target) int {
	at, written := t.at, true
	if t.at == unwritten {
		at, written = a.answers[t.answer]
	}
	switch skip := len(a.code) - at - 1; {
	case written && skip <= reach:
	case t.at == unwritten:
		at = a.write(bpf.RetConstant{Val: t.answer}).at
		a.answers[t.answer] = at
	default:
		at = a.write(bpf.Jump{Skip: uint32(skip)}).at
	}
	return at
}

// write puts an instruction before all that is written.
func (a *assembler) write(in bpf.Instruction) target {
	a.code = append(a.code, in)
	return target{at: len(a.code) - 1}
}
