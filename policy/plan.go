package policy

import (
	"math"

	"golang.org/x/net/bpf"
)

// segment is a range of words that lead to the same place, up to the first of the next segment.
type segment struct {
	first  uint32
	leads  int // to which place
	weight int // how often a word of it is looked for, beside those of others
}

// single reports whether s is one word alone. The last segment goes on to the last word.
func single(segments []segment, i int) bool {
	last := uint32(math.MaxUint32)
	if i+1 < len(segments) {
		last = segments[i+1].first - 1
	}
	return segments[i].first == last
}

// choice is a comparison, or a place where a search ends: then yes and no are nil.
type choice struct {
	test    bpf.JumpTest // greater or equal, or equal
	value   uint32
	yes, no *choice
	leads   int
}

// What a search costs, in steps of one look: an instruction is translated once, and takes as long as about 90 steps of
// the kernel's look at all numbers (0.15 us and 1.7 ns; docs/performance.md).
const instruction = 90

// exact is the most segments that the cheapest search is found for; more are halved first.
const exact = 100

// chainMax is the longest chain of comparisons with single words that is looked for.
const chainMax = 4

// plan is the cheapest search for the segment of a word, of two kinds of comparison: with the first word of a segment,
// which halves what is left, and with a word that is a segment alone amid words that all lead elsewhere, which spares
// halving around it. It is an optimal tree over intervals, found by dynamic programming.
func plan(segments []segment) *choice {
	n := len(segments)
	if n > exact {
		middle := halfway(segments)
		return &choice{bpf.JumpGreaterOrEqual, segments[middle].first, plan(segments[middle:]), plan(segments[:middle]), 0}
	}
	p := &planner{segments: segments, weights: make([]int, n+1), costs: make([]int, n*n), splits: make([]int, n*n)}
	for i, s := range segments {
		p.weights[i+1] = p.weights[i] + s.weight
	}
	for length := 2; length <= n; length++ {
		for i := 0; i+length <= n; i++ {
			p.weigh(i, i+length-1)
		}
	}
	return p.tree(0, n-1)
}

// halfway is where the weight on both sides is most alike.
func halfway(segments []segment) int {
	total := 0
	for _, s := range segments {
		total += s.weight + 1
	}
	sum := 0
	for i, s := range segments[:len(segments)-1] {
		if sum += s.weight + 1; 2*sum >= total {
			return i + 1
		}
	}
	return len(segments) - 1
}

// planner holds what searches cost, for every interval of segments.
type planner struct {
	segments []segment
	weights  []int // before each segment
	costs    []int // of the cheapest search
	splits   []int // where it halves: the first segment above; 0: it is a chain
}

// weigh finds the cheapest search in segments i to j, whose parts are known.
func (p *planner) weigh(i, j int) {
	n := len(p.segments)
	here := instruction + p.weights[j+1] - p.weights[i]
	best, split := math.MaxInt, 0
	for m := i + 1; m <= j; m++ {
		if cost := here + p.costs[i*n+m-1] + p.costs[m*n+j]; cost < best {
			best, split = cost, m
		}
	}
	if cost, ok := p.chain(i, j); ok && cost <= best {
		best, split = cost, 0
	}
	p.costs[i*n+j], p.splits[i*n+j] = best, split
}

// chain is what it costs to compare with each of the words in segments i to j that lead elsewhere than the others.
func (p *planner) chain(i, j int) (cost int, ok bool) {
	apart, ok := p.apart(i, j)
	if !ok {
		return 0, false
	}
	looks := p.weights[j+1] - p.weights[i]
	for _, k := range apart {
		cost += instruction + looks
		looks -= p.segments[k].weight
	}
	return cost, true
}

// apart returns the segments of single words, at most chainMax, that lead elsewhere than all others between i and j.
func (p *planner) apart(i, j int) ([]int, bool) {
	if j-i > 2*chainMax {
		return nil, false
	}
	most := p.most(i, j)
	var apart []int
	for k := i; k <= j; k++ {
		if p.segments[k].leads == most {
			continue
		}
		if !single(p.segments, k) || len(apart) == chainMax {
			return nil, false
		}
		apart = append(apart, k)
	}
	return apart, true
}

// most is where most of the words between segments i and j lead: those of the first that is not single.
func (p *planner) most(i, j int) int {
	for k := i; k <= j; k++ {
		if !single(p.segments, k) {
			return p.segments[k].leads
		}
	}
	return p.segments[i].leads
}

// tree is the cheapest search in segments i to j.
func (p *planner) tree(i, j int) *choice {
	if i == j {
		return &choice{leads: p.segments[i].leads}
	}
	if m := p.splits[i*len(p.segments)+j]; m > 0 {
		return &choice{bpf.JumpGreaterOrEqual, p.segments[m].first, p.tree(m, j), p.tree(i, m-1), 0}
	}
	apart, _ := p.apart(i, j)
	c := &choice{leads: p.most(i, j)}
	for n := len(apart) - 1; n >= 0; n-- {
		s := p.segments[apart[n]]
		c = &choice{bpf.JumpEqual, s.first, &choice{leads: s.leads}, c, 0}
	}
	return c
}
