package executor

import (
	"math"
	"math/rand/v2"
	"time"
)

// Wait is how long to wait before try number n, which counts from 1: First, growing by Factor up to Max, spread by
// Jitter to both sides. The random number r is from 0 to 1.
func (b Backoff) Wait(n int, r float64) time.Duration {
	growth := min(math.Pow(b.Factor, float64(n-1)), math.MaxFloat64) // not infinity, which times 0 is no number
	wait := min(float64(b.First)*growth, float64(b.Max))
	return time.Duration(wait * (1 + b.Jitter*(2*r-1)))
}

// Next is Wait with a random number of its own.
func (b Backoff) Next(n int) time.Duration { return b.Wait(n, rand.Float64()) }
