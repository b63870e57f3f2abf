package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/limits"
)

func (p *program) usageVerb() *cobra.Command {
	var s selection
	return s.flag(&cobra.Command{
		Use:   "usage [APP...]",
		Short: "Show what apps use of their limits",
		RunE: p.verb(func(c *cobra.Command, args []string) error {
			req := control.Request{Op: control.OpUsage, All: s.all}
			for _, arg := range args {
				req.Apps = append(req.Apps, control.SplitList(arg)...)
			}
			return show(c.Context(), p, req, p.printUsage)
		}),
	}, "all apps, as without names")
}

// printUsage prints a table for all apps, and below it what is held and what the kernel has counted.
func (p *program) printUsage(apps []control.Usage) error {
	rows := [][]string{{"APP", "LIMIT", "VALUE", "USED", "PEAK", "REACHED", "LAST", "SINCE"}}
	for _, u := range apps {
		for _, l := range u.Limits {
			rows = append(rows, []string{u.App, l.Limit, value(l.Value), number(l.Used), number(l.Peak), number(l.Reached), when(l.Last), when(l.Since)})
		}
	}
	if err := p.table(rows); err != nil {
		return err
	}
	if err := p.printWaits(apps); err != nil {
		return err
	}
	for _, u := range apps {
		for _, h := range u.Held {
			fmt.Fprintf(p.out, "held: %s (%s) since %s, %d kept\n", h.Job, h.Reason, h.Since.Local().Format(time.DateTime), h.Kept)
		}
		if more := u.HeldJobs - len(u.Held); more > 0 {
			fmt.Fprintf(p.out, "held: %s of %s more\n", count(more, "job"), u.App)
		}
	}
	for _, u := range apps {
		if len(u.Without) > 0 {
			fmt.Fprintf(p.out, "%s: without %s, which this host lacks\n", u.App, strings.Join(u.Without, ", "))
		}
	}
	return p.printCounts(apps)
}

// printCounts prints what the kernel has counted, if anything.
func (p *program) printCounts(apps []control.Usage) error {
	var rows [][]string
	for _, u := range apps {
		for _, name := range slices.Sorted(maps.Keys(u.Cgroup)) {
			rows = append(rows, []string{u.App, name, fmt.Sprint(u.Cgroup[name])})
		}
	}
	if rows == nil {
		return nil
	}
	fmt.Fprintln(p.out)
	return p.table(append([][]string{{"APP", "KERNEL'S COUNT", "VALUE"}}, rows...))
}

// printWaits prints how long activations waited, by priority, if any did.
func (p *program) printWaits(apps []control.Usage) error {
	var rows [][]string
	for _, u := range apps {
		for _, w := range u.Waits {
			rows = append(rows, []string{u.App, fmt.Sprint(w.Priority), fmt.Sprint(w.Count), shortly(w.P50), shortly(w.P99), shortly(w.Longest)})
		}
	}
	if rows == nil {
		return nil
	}
	fmt.Fprintln(p.out)
	return p.table(append([][]string{{"APP", "PRIORITY", "STARTED", "WAITED P50", "P99", "LONGEST"}}, rows...))
}

// shortly is a duration with three digits that count, more or less.
func shortly(d time.Duration) string {
	for unit := time.Second; unit >= time.Microsecond; unit /= 1000 {
		if d >= unit {
			return d.Round(unit / 100).String()
		}
	}
	return d.String()
}

// value is what a limit is set to, as the file has it.
func value(v any) string {
	if v == nil {
		return ""
	}
	return limits.Value{Value: v}.Text()
}

func number[T int64 | uint64](n *T) string {
	if n == nil {
		return ""
	}
	return strconv.FormatInt(int64(*n), 10)
}
