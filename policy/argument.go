package policy

import (
	"math"
	"slices"
)

// step is a range of values of one argument with one answer, up to the first of the next step.
type step struct {
	first  uint64
	answer uint32
}

// about is what all tests of a verdict look at.
type about struct {
	arg  uint
	mask uint64
}

// alike returns what all tests of v look at, if it is the same.
func (v verdict) alike() (about, bool) {
	rules := v[:len(v)-1]
	if len(rules) == 0 || len(rules[0].tests) == 0 {
		return about{}, false
	}
	first := about{rules[0].tests[0].arg, rules[0].tests[0].mask}
	for _, r := range rules {
		if len(r.tests) != 1 || (about{r.tests[0].arg, r.tests[0].mask}) != first {
			return about{}, false
		}
	}
	return first, true
}

// steps lays out the answers of a verdict whose tests are alike over all values of their argument.
func (v verdict) steps() []step {
	bounds := []uint64{0}
	for _, r := range v[:len(v)-1] {
		t := &r.tests[0]
		if t.relation != greater {
			bounds = append(bounds, t.value)
		}
		if t.relation != greaterOrEqual && t.value < math.MaxUint64 {
			bounds = append(bounds, t.value+1)
		}
	}
	slices.Sort(bounds)
	var steps []step
	for _, first := range slices.Compact(bounds) {
		answer := v.at(first)
		if n := len(steps); n == 0 || steps[n-1].answer != answer {
			steps = append(steps, step{first, answer})
		}
	}
	return steps
}

// at is the answer for a value of the argument that all tests are of.
func (v verdict) at(value uint64) uint32 {
	for _, r := range v[:len(v)-1] {
		if r.tests[0].holds(value) {
			return r.answer
		}
	}
	return v[len(v)-1].answer
}

// holds reports whether a masked argument passes.
func (t *test) holds(value uint64) bool {
	var is bool
	switch t.relation {
	case equal:
		is = value == t.value
	case greater:
		is = value > t.value
	case greaterOrEqual:
		is = value >= t.value
	}
	return is != t.contrary
}

// narrow is v for arguments of 32 bits: the high words are not compared, as in libseccomp.
func (v verdict) narrow() verdict {
	w := slices.Clone(v)
	for i := range w {
		w[i].tests = slices.Clone(w[i].tests)
		for j := range w[i].tests {
			t := &w[i].tests[j]
			t.mask, t.value = uint64(uint32(t.mask)), uint64(uint32(t.value))
		}
	}
	return w
}

// half is a range of high words of an argument: with one answer, or with steps of the low word where a single high word
// has several.
type half struct {
	first uint32
	low   []step // of the low word, from 0 on
}

// halves splits steps of 64 bits by the high word.
func halves(steps []step) []half {
	var all []half
	add := func(high uint64, low []step) {
		n := len(all)
		if n > 0 && slices.Equal(all[n-1].low, low) {
			return
		}
		all = append(all, half{uint32(high), low})
	}
	for i := 0; i < len(steps); {
		high := steps[i].first >> 32
		if uint32(steps[i].first) == 0 { // whole from here on, unless another step begins in this word
			if i+1 == len(steps) || steps[i+1].first>>32 > high {
				add(high, []step{{0, steps[i].answer}})
				i++
				continue
			}
		}
		low := []step{}
		if uint32(steps[i].first) > 0 {
			low = append(low, step{0, steps[i-1].answer})
		}
		for ; i < len(steps) && steps[i].first>>32 == high; i++ {
			low = append(low, step{uint64(uint32(steps[i].first)), steps[i].answer})
		}
		add(high, low)
		if high < math.MaxUint32 && (i == len(steps) || steps[i].first > (high+1)<<32) {
			add(high+1, []step{{0, steps[i-1].answer}})
		}
	}
	return all
}
