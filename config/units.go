package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// day is the unit that durations have here beside Go's.
const day = 24 * time.Hour

// maxDuration and maxSize keep arithmetic on what a file states far from overflow.
const (
	maxDuration = 36500 * day
	maxSize     = 1 << 50
)

// ParseDuration reads Go's durations with a leading number of days, as "1d12h".
func ParseDuration(s string) (time.Duration, error) {
	wrong := errors.New(`want a duration like "2s"`)
	var sum time.Duration
	if days, rest, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, wrong
		}
		sum, s = time.Duration(n)*day, rest+"0s"
	}
	d, err := time.ParseDuration(s)
	if err != nil || sum != 0 && d < 0 {
		return 0, wrong
	}
	return min(sum, maxDuration+1) + min(d, maxDuration+1), nil // out of range stays out of range
}

// sizeUnits are the endings of sizes; all count in 1024.
var sizeUnits = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"G", 1 << 30}, {"MiB", 1 << 20}, {"M", 1 << 20}, {"KiB", 1 << 10}, {"K", 1 << 10}}

// parseSize reads a number of bytes, as 4096, "64K" or "64KiB".
func parseSize(v any) (int64, error) {
	wrong := errors.New(`want a size like "64MiB"`)
	if n, ok := v.(int64); ok {
		return n, nil
	}
	s, ok := v.(string)
	if !ok {
		return 0, wrong
	}
	for _, u := range sizeUnits {
		if digits, ok := strings.CutSuffix(s, u.name); ok {
			n, err := strconv.ParseInt(digits, 10, 64)
			if err != nil {
				return 0, wrong
			}
			return max(-1, min(n, maxSize/u.bytes+1)) * u.bytes, nil // out of range stays out of range
		}
	}
	return 0, wrong
}

// formatSize is the shortest form of a size that parseSize reads.
func formatSize(n int64) string {
	for _, u := range sizeUnits {
		if n != 0 && n%u.bytes == 0 {
			return fmt.Sprintf("%d%s", n/u.bytes, u.name)
		}
	}
	return strconv.FormatInt(n, 10)
}

// formatDuration is the shortest form of a duration that ParseDuration reads.
func formatDuration(d time.Duration) string {
	if d != 0 && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	return d.String()
}
