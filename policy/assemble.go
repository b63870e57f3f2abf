package policy

import (
	"fmt"
	"slices"

	"golang.org/x/net/bpf"
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

// assemble writes the program of all sections; foreign answers the calls of other architectures.
func assemble(all []section, foreign uint32) []bpf.Instruction {
	a := &assembler{answers: map[uint32]int{}, leaves: map[string]target{}}
	next := target{foreign, unwritten}
	for _, s := range slices.Backward(all) {
		next = a.jump(bpf.JumpEqual, s.audit, a.load(offsetNumber, a.numbers(s.spans)), next)
	}
	a.load(offsetArch, next)
	slices.Reverse(a.code)
	return a.code
}

// numbers finds the span of the loaded number.
func (a *assembler) numbers(spans []span) target {
	segments := make([]segment, len(spans))
	places := map[string]int{}
	for i, s := range spans {
		key := s.key()
		if _, ok := places[key]; !ok {
			places[key] = i
		}
		segments[i] = segment{s.first, places[key], s.weight}
	}
	return a.search(plan(segments), func(i int) target { return a.leaf(spans[i]) })
}

// search writes a plan; place is where it leads.
func (a *assembler) search(c *choice, place func(int) target) target {
	if c.yes == nil {
		return place(c.leads)
	}
	yes := a.search(c.yes, place)
	no := a.search(c.no, place)
	return a.jump(c.test, c.value, yes, no)
}

// key is the same for spans with the same verdict.
func (s *span) key() string {
	key := fmt.Append(nil, s.wide)
	for _, r := range s.verdict {
		key = fmt.Append(key, r.answer, r.tests)
	}
	return string(key)
}

// leaf gives the verdict of a span; equal ones that test arguments are written once.
func (a *assembler) leaf(s span) target {
	if last := len(s.verdict) - 1; last == 0 {
		return target{s.verdict[0].answer, unwritten}
	}
	key := s.key()
	written, ok := a.leaves[key]
	if !ok {
		v := s.verdict
		if !s.wide {
			v = v.narrow()
		}
		if what, alike := v.alike(); alike {
			written = a.argument(what, s.wide, v.steps())
		} else {
			written = a.oneByOne(v, s.wide)
		}
		a.leaves[key] = written
	}
	return written
}

// argument finds the step of one argument: by its high word, then by its low one.
func (a *assembler) argument(what about, wide bool, steps []step) target {
	low := offsetArgs + uint32(what.arg)*2*wordSize
	lowMask, highMask := uint32(what.mask), uint32(what.mask>>32)
	if !wide || highMask == 0 {
		return a.word(low, lowMask, steps)
	}
	all := halves(steps)
	if len(all) == 1 {
		return a.word(low, lowMask, all[0].low)
	}
	highs := make([]segment, len(all))
	for i, h := range all {
		highs[i] = segment{h.first, i, 1}
	}
	for i, h := range all { // the same answers lead to the same place
		highs[i].leads = slices.IndexFunc(all, func(o half) bool { return slices.Equal(o.low, h.low) })
	}
	return a.masked(low+wordSize, highMask, a.search(plan(highs), func(i int) target { return a.word(low, lowMask, all[i].low) }))
}

// word finds the step of one word.
func (a *assembler) word(offset, mask uint32, steps []step) target {
	segments := make([]segment, 0, len(steps))
	for _, s := range steps {
		if s.first > uint64(^uint32(0)) {
			break // beyond all values
		}
		segments = append(segments, segment{uint32(s.first), int(s.answer), 1})
	}
	return a.masked(offset, mask, a.search(plan(segments), func(i int) target { return target{uint32(i), unwritten} }))
}

// masked loads a word for what was written last, less what a mask takes away.
func (a *assembler) masked(offset, mask uint32, next target) target {
	if next.at != unwritten && mask != ^uint32(0) {
		next = a.write(bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: mask})
	}
	return a.load(offset, next)
}

// oneByOne tries the rules of a verdict, first to last.
func (a *assembler) oneByOne(v verdict, wide bool) target {
	rules := v[:len(v)-1]
	next := target{v[len(v)-1].answer, unwritten}
	for _, r := range slices.Backward(rules) {
		pass := target{r.answer, unwritten}
		for _, t := range slices.Backward(r.tests) {
			pass = a.test(t, wide, pass, next)
		}
		next = pass
	}
	return next
}

// test compares one argument.
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
	return a.masked(offset, mask, a.jump(bpf.JumpEqual, value, yes, no))
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
