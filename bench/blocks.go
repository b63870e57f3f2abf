package main

import "slices"

// contender is one of the ways that are compared: block measures it a number of times and returns each result.
type contender struct {
	name  string
	block func() ([]float64, error)
}

// results are the samples of each contender, block by block.
type results map[string][][]float64

// interleave has the contenders take turns, so that what slows the machine down for a while slows all of them. Every
// other turn goes backwards: none is always measured right after the same other.
func interleave(turns int, contenders ...contender) (results, error) {
	all := results{}
	for _, c := range contenders {
		if _, err := c.block(); err != nil { // warms caches; not counted
			return nil, err
		}
	}
	order := slices.Clone(contenders)
	for range turns {
		for _, c := range order {
			samples, err := c.block()
			if err != nil {
				return nil, err
			}
			if len(samples) > 0 {
				all[c.name] = append(all[c.name], samples)
			}
		}
		slices.Reverse(order)
	}
	return all, nil
}

// quantile is the median over the blocks of each block's quantile.
func (r results) quantile(name string, q float64) float64 {
	var each []float64
	for _, block := range r[name] {
		each = append(each, quantile(block, q))
	}
	return quantile(each, 0.5)
}

// ratio is the median of the blocks' ratios.
func (r results) ratio(name, floor string, q float64) float64 {
	var each []float64
	for i := range min(len(r[name]), len(r[floor])) {
		each = append(each, quantile(r[name][i], q)/quantile(r[floor][i], q))
	}
	return quantile(each, 0.5)
}

// rows compares a contender with its floor, "" for none: the median, and the p99 of all blocks together, because one has
// too few samples for it.
func (r results) rows(title, unit, name, floor string) []row {
	median := row{Name: title, Unit: unit, Value: r.quantile(name, 0.5)}
	tail := row{Name: title + ".p99", Unit: unit, Value: quantile(slices.Concat(r[name]...), 0.99)}
	if floor != "" {
		median.against(r.quantile(floor, 0.5), r.ratio(name, floor, 0.5))
		least := quantile(slices.Concat(r[floor]...), 0.99)
		tail.against(least, tail.Value/least)
	}
	return []row{median, tail}
}

// quantile sorts a copy; it is 0 without samples.
func quantile(samples []float64, q float64) float64 {
	if len(samples) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(samples))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
