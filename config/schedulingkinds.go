package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// optional is a whole number, nil when it is not stated.
func optional(p **int, least, most int64) kind {
	var n int
	return count(&n, least, most).then(func() error {
		*p = &n
		return nil
	})
}

// cpusMost is the highest number of a CPU, and one.
const cpusMost = 1024

// cpus is a list of CPUs: of numbers, or in the kernel's form (man 7 cpuset, "List format").
func cpus(p *[]int) kind {
	number := object{"type": "integer", "minimum": 0, "maximum": cpusMost - 1}
	form := object{"anyOf": []any{
		object{"type": "string", "pattern": "^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$"},
		object{"type": "array", "items": number, "minItems": 1},
	}}
	return kind{name: "list of CPUs", schema: form, read: func(v any) error {
		found, ok := []int(nil), false
		switch v := v.(type) {
		case string:
			found, ok = parseCPUs(v)
		case []any:
			ok = len(v) > 0
			found = make([]int, len(v))
			for i, item := range v {
				ok = ok && count(&found[i], 0, cpusMost-1).read(item) == nil
			}
		}
		if !ok {
			return fmt.Errorf(`want CPUs below %d, like "0-2,5" or [0, 5]`, cpusMost)
		}
		*p = found
		return nil
	}}
}

func parseCPUs(list string) (found []int, ok bool) {
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err := strconv.ParseUint(from, 10, 16)
		last, lastErr := strconv.ParseUint(to, 10, 16)
		if err != nil || lastErr != nil || first > last || last >= cpusMost {
			return nil, false
		}
		for cpu := first; cpu <= last; cpu++ {
			found = append(found, int(cpu))
		}
	}
	return found, true
}

// ioClasses are the classes of man 2 ioprio_set, by their names of ionice(1).
var ioClasses = map[string]int{"realtime": 1, "best-effort": 2, "idle": 3}

// The form of man 2 ioprio_set, linux/ioprio.h.
const ioClassShift = 13

// IOPriorityText is a priority at block devices as the file has it, "" where none is set.
func IOPriorityText(priority int) string {
	for name, class := range ioClasses {
		if class != priority>>ioClassShift {
			continue
		}
		if name == "idle" {
			return name
		}
		return fmt.Sprintf("%s:%d", name, priority&(1<<ioClassShift-1))
	}
	return ""
}

// CPUsText is a list of CPUs in the form that the kernel has for it.
func CPUsText(list []int) string {
	list = slices.Compact(slices.Sorted(slices.Values(list)))
	var parts []string
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		part := strconv.Itoa(list[i])
		if j > i {
			part += "-" + strconv.Itoa(list[j])
		}
		parts = append(parts, part)
		i = j + 1
	}
	return strings.Join(parts, ",")
}

// ioPriority is a class and, but for idle, a level in it: 0 is the most urgent, 4 where none is given.
func ioPriority(p *int) kind {
	const levels, levelDefault = 8, 4
	var word string
	k := text(&word)
	k.name, k.schema = "idle, best-effort:0 to 7, realtime:0 to 7", object{"type": "string", "pattern": "^(idle|(best-effort|realtime)(:[0-7])?)$"}
	return k.then(func() error {
		class, level, stated := strings.Cut(word, ":")
		n := uint64(levelDefault)
		var err error
		if stated {
			n, err = strconv.ParseUint(level, 10, 8)
		}
		if ioClasses[class] == 0 || err != nil || n >= levels || stated && class == "idle" {
			return errors.New(`want "idle", or a class and a level like "best-effort:4" or "realtime:0"`)
		}
		if class == "idle" {
			n = 0
		}
		*p = ioClasses[class]<<ioClassShift | int(n)
		return nil
	})
}
