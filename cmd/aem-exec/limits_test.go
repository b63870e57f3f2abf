package main

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/control"
)

// usedLimits is what the supervisor of this test answers of an app.
func usedLimits(req control.Request) control.Reply {
	if req.Op != control.OpUsage || !slices.Equal(req.Apps, []string{"shop", "web"}) {
		return control.Refuse(syscall.EIO, "unexpected %+v", req)
	}
	n := func(n int64) *int64 { return &n }
	reached := uint64(3)
	return control.Done([]control.Usage{{
		App: "shop", Types: []string{"topic"}, Held: []control.HeldJob{{Job: "shop/order", Reason: "limit", Since: at, Kept: 7}}, HeldJobs: 3,
		Limits: []control.LimitUsage{
			{Limit: "activations", Value: 256, Used: n(256), Peak: n(256), Reached: &reached, Last: &at, Since: &at},
			{Limit: "processes", Used: n(2), Peak: n(4), Reached: new(uint64)},
			{Limit: "memory", Value: 1 << 40, Used: n(5)},
			{Limit: "cpu", Value: 0.5},
			{Limit: "cpuset", Value: "0-1"},
		},
		Without: []string{"io", "swap"},
		Waits: []control.Wait{
			{Priority: 20, Count: 3, P50: 1234567, P99: 12345678901, Longest: time.Minute},
			{Priority: 10, Count: 70000, P50: 999, P99: 12345},
		},
		Cgroup: map[string]int64{"pids": 2, "cpu_usec": 1500},
	}})
}

func TestUsageIsPrinted(t *testing.T) {
	serve(t, usedLimits)
	const want = `
APP   LIMIT        VALUE          USED  PEAK  REACHED  LAST                 SINCE
shop  activations  256            256   256   3        2026-03-04 05:06:07  2026-03-04 05:06:07
shop  processes    -              2     4     0        -                    -
shop  memory       1099511627776  5     -     -        -                    -
shop  cpu          0.5            -     -     -        -                    -
shop  cpuset       0-1            -     -     -        -                    -

APP   PRIORITY  STARTED  WAITED P50  P99      LONGEST
shop  20        3        1.23ms      12.35s   1m0s
shop  10        70000    999ns       12.35µs  0s
held: shop/order (limit) since 2026-03-04 05:06:07, 7 kept
held: 2 jobs of shop more
shop: without io, swap, which this host lacks

APP   KERNEL'S COUNT  VALUE
shop  cpu_usec        1500
shop  pids            2
`
	if status, stdout, stderr := command(t, "", "ctl", "usage", "shop,web"); status != 0 || "\n"+stdout != want {
		t.Errorf("%d\n%s%s\nwant%s", status, stdout, stderr, want)
	}
	for _, args := range [][]string{{"--all", "shop"}, {"a/b"}, {"[" /* no pattern */}} {
		if status, _, stderr := command(t, "", append([]string{"ctl", "usage"}, args...)...); status != exitUsage {
			t.Errorf("%v: %d %s", args, status, stderr)
		}
	}
}
