package limits

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// figure is something that the kernel counts of a group, and where each version has it.
type figure struct {
	name   string // with its unit
	v2, v1 counter
}

// counter is where a figure stands. The zero counter is nowhere.
type counter struct {
	file string
	read func(text string) (int64, bool)
	own  func(*place) bool // whether it is counted in the leaves, each for itself; nil: in the group
}

// figures is the table of what is shown of a group.
var figures = []figure{
	{"memory_bytes", counter{"memory.current", number, nil}, counter{"memory.usage_in_bytes", number, nil}},
	{"memory_peak_bytes", counter{"memory.peak", number, nil}, counter{"memory.max_usage_in_bytes", number, nil}},
	{"memory_max_hits", counter{"memory.events", line("max"), nil}, counter{"memory.failcnt", number, nil}},
	{memoryHighHits, counter{"memory.events", line("high"), nil}, counter{}},
	{oomKills, counter{"memory.events", line("oom_kill"), nil}, counter{"memory.oom_control", line("oom_kill"), always}},
	{"swap_bytes", counter{"memory.swap.current", number, nil}, counter{"memory.stat", line("total_swap"), nil}},
	{swapHits, counter{"memory.swap.events", line("max"), nil}, counter{"memory.memsw.failcnt", number, nil}},
	{"pids", counter{"pids.current", number, nil}, counter{"pids.current", number, nil}},
	{"pids_peak", counter{"pids.peak", number, nil}, counter{"pids.peak", number, nil}},
	{pidsHits, counter{"pids.events", line("max"), pidsInLeaves}, counter{"pids.events", line("max"), always}},
	{"cpu_usec", counter{"cpu.stat", line("usage_usec"), nil}, counter{"cpuacct.usage", micro(number), nil}},
	{throttled, counter{"cpu.stat", line("nr_throttled"), nil}, counter{"cpu.stat", line("nr_throttled"), nil}},
	{"throttled_usec", counter{"cpu.stat", line("throttled_usec"), nil}, counter{"cpu.stat", micro(line("throttled_time")), nil}},
	{"io_read_bytes", counter{"io.stat", sum("rbytes="), nil}, counter{"blkio.throttle.io_service_bytes_recursive", sum("Read "), nil}},
	{"io_written_bytes", counter{"io.stat", sum("wbytes="), nil}, counter{"blkio.throttle.io_service_bytes_recursive", sum("Write "), nil}},
	{"io_reads", counter{"io.stat", sum("rios="), nil}, counter{"blkio.throttle.io_serviced_recursive", sum("Read "), nil}},
	{"io_writes", counter{"io.stat", sum("wios="), nil}, counter{"blkio.throttle.io_serviced_recursive", sum("Write "), nil}},
}

// The figures that tell of a limit that was reached.
const (
	memoryHighHits = "memory_high_hits"
	oomKills       = "oom_kills"
	swapHits       = "swap_max_hits"
	pidsHits       = "pids_max_hits"
	throttled      = "throttled"
)

// hitsOf are the figures that count how often a limit was reached, by the limit. What is at its limit of memory without
// being killed only has to give some of it back.
var hitsOf = map[string]string{"memory": oomKills, "memory_high": memoryHighHits, swap: swapHits, "pids": pidsHits, "cpu": throttled}

// usedOf are the figures that tell what is used of a limit, and what the most was.
var usedOf = map[string]struct{ used, peak string }{
	"memory": {"memory_bytes", "memory_peak_bytes"}, "memory_high": {"memory_bytes", "memory_peak_bytes"},
	"memory_low": {"memory_bytes", "memory_peak_bytes"}, swap: {"swap_bytes", ""}, "pids": {"pids", "pids_peak"},
}

// figureNamed is a row of the table.
func figureNamed(name string) figure {
	return figures[slices.IndexFunc(figures, func(f figure) bool { return f.name == name })]
}

// Figured are the names of the figures that tell what is used of a limit, and what the most was; "" for none.
func Figured(limit string) (used, peak string) {
	if size, ok := strings.CutPrefix(limit, "hugetlb."); ok {
		return "hugetlb_" + strings.Trim(size, `"`) + "_bytes", ""
	}
	return usedOf[limit].used, usedOf[limit].peak
}

func always(*place) bool { return true }

// pidsInLeaves reports whether a fork that the limit refuses is counted where the fork was. From Linux 6.11 on, v2 counts
// it where the limit is, and has this file (kernel/cgroup/pids.c, pids_event), unless mounted with pids_localevents.
func pidsInLeaves(p *place) bool {
	_, err := os.Stat(filepath.Join(p.dir, "pids.events.local"))
	return err != nil || p.localPIDs
}

// number reads the text of a file that holds one number.
func number(text string) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	return n, err == nil
}

// line reads the value of a key from "key value" lines.
func line(key string) func(string) (int64, bool) {
	return func(text string) (int64, bool) {
		for l := range strings.Lines(text) {
			if name, value, _ := strings.Cut(l, " "); name == key {
				return number(value)
			}
		}
		return 0, false
	}
}

// sum adds up what follows a word over all lines: one for each disk.
func sum(word string) func(string) (int64, bool) {
	return func(text string) (total int64, ok bool) {
		for l := range strings.Lines(text) {
			if _, value, found := strings.Cut(l, word); found {
				value, _, _ = strings.Cut(value, " ")
				n, _ := number(value)
				total += n
			}
		}
		return total, true
	}
}

// micro makes microseconds of nanoseconds.
func micro(read func(string) (int64, bool)) func(string) (int64, bool) {
	return func(text string) (int64, bool) {
		n, ok := read(text)
		return n / 1000, ok
	}
}

// Figures are what the kernel has counted of the group, as far as the host and the group's limits have it counted. It may
// be called from any goroutine until Remove.
func (g *Group) Figures() map[string]int64 {
	found := map[string]int64{}
	for _, f := range append(figures, g.hugePages()...) {
		if n, ok := g.figure(f); ok {
			found[f.name] = n
		}
	}
	return found
}

// hugePages are the figures of the sizes that are limited.
func (g *Group) hugePages() (all []figure) {
	for _, h := range g.limits.HugeTLB {
		all = append(all,
			figure{"hugetlb_" + h.Size + "_bytes", counter{"hugetlb." + h.Size + ".current", number, nil}, counter{"hugetlb." + h.Size + ".usage_in_bytes", number, nil}},
			hugeHits(h.Size))
	}
	return all
}

func hugeHits(size string) figure {
	return figure{"hugetlb_" + size + "_max_hits", counter{"hugetlb." + size + ".events", line("max"), nil}, counter{"hugetlb." + size + ".failcnt", number, nil}}
}

// figure reads one figure, wherever it is.
func (g *Group) figure(f figure) (int64, bool) {
	for _, p := range g.places {
		c := f.v1
		if p.unified {
			c = f.v2
		}
		if c.file == "" {
			continue
		}
		if n, ok := g.count(p, c, f.name); ok {
			return n, true
		}
	}
	return 0, false
}

// count reads a counter in a place: of the group, or of its leaves with those that are gone.
func (g *Group) count(p *place, c counter, name string) (n int64, ok bool) {
	if c.own == nil || !c.own(p) {
		text, err := readText(filepath.Join(p.dir, c.file))
		if err != nil {
			return 0, false
		}
		return c.read(text)
	}
	if _, err := os.Stat(filepath.Join(p.dir, c.file)); err != nil {
		return 0, false
	}
	leaves, _ := os.ReadDir(p.dir)
	for _, leaf := range leaves {
		if !leaf.IsDir() {
			continue
		}
		if text, err := readText(filepath.Join(p.dir, leaf.Name(), c.file)); err == nil { // else it has just been removed
			one, _ := c.read(text)
			n += one
		}
	}
	if gone := g.gone[name]; gone != nil {
		n += gone.Load()
	}
	return n, true
}
