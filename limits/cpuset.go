package limits

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// maxCPUs is more than any kernel is built for.
const maxCPUs = 1 << 16

// ParseSet reads a list of cores or memory nodes, as "0-1,4" (man 7 cpuset, "List format"), and returns them in order.
func ParseSet(s string) ([]int, error) {
	wrong := fmt.Errorf(`%q: want numbers and ranges of them, like "0-1,4"`, s)
	var set []int
	for part := range strings.SplitSeq(s, ",") {
		left, right, isRange := strings.Cut(part, "-")
		if !isRange {
			right = left
		}
		first, err := strconv.ParseUint(left, 10, 32)
		last, lastErr := strconv.ParseUint(right, 10, 32)
		if err != nil || lastErr != nil || last < first || last >= maxCPUs {
			return nil, wrong
		}
		for n := first; n <= last; n++ {
			set = append(set, int(n))
		}
	}
	slices.Sort(set)
	return slices.Compact(set), nil
}

// sameSet reports whether two lists mean the same.
func sameSet(a, b string) bool {
	x, xerr := ParseSet(a)
	y, yerr := ParseSet(b)
	return xerr == nil && yerr == nil && slices.Equal(x, y)
}

// The kernel takes quotas from 1 ms on, in periods of 1 ms to 1 s (Documentation/scheduler/sched-bwc.rst).
const (
	usualPeriod = 100_000 // µs
	longPeriod  = 1_000_000
	leastQuota  = 1_000
)

// quota is the time that the app may use in each period, both in µs.
func (l Limits) quota() (quota int64, period uint64) {
	if period = uint64(l.CPUPeriod); period == 0 {
		period = usualPeriod
	}
	if quota = int64(math.Round(l.CPU * float64(period))); quota < leastQuota && l.CPUPeriod == 0 {
		period = longPeriod
		quota = int64(math.Round(l.CPU * longPeriod))
	}
	return quota, period
}
