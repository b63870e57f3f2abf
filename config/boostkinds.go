package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// levels is a table of what threads are raised to, by the priority from which on they are.
func levels(p *executor.Boost) kind {
	level := fewSchema(levelKeys(new(executor.Level)))
	schema := object{"type": "object", "propertyNames": object{"pattern": "^([0-9]|[12][0-9]|3[01])$"}, "additionalProperties": level}
	return kind{name: "table of levels", schema: schema, read: func(v any) error {
		err := eachOf(v, "want a table, like { 20 = { nice = -5 } }", func(name string, v any) error {
			from, err := strconv.ParseUint(name, 10, 8)
			if err != nil || from >= aem.PriorityLevels || strconv.FormatUint(from, 10) != name {
				return fmt.Errorf("want a priority from 0 to %d", aem.PriorityLevels-1)
			}
			l := executor.Level{From: aem.Priority(from)}
			*p = append(*p, l)
			return readLevel(&(*p)[len(*p)-1], v)
		})
		slices.SortFunc(*p, func(a, b executor.Level) int { return cmp.Compare(a.From, b.From) })
		return err
	}}
}

// readLevel reads one level.
func readLevel(l *executor.Level, v any) error {
	err := few(v, levelKeys(l))
	if stated, _ := v.(map[string]any); err == nil && l.Realtime > 0 && len(stated) > 1 {
		err = errors.New("realtime stands alone: nice and slice are of the other class")
	}
	return err
}

// levelKeys are what a level may say.
func levelKeys(l *executor.Level) []key {
	return []key{
		{"nice", optional(&l.Nice, sys.NiceLeast, sys.NiceMost), nil, "The nice value, if its own is not less."},
		{"slice", duration(&l.Slice, sys.SliceLeast).then(func() error {
			if l.Slice > sys.SliceMost {
				return errors.New("want a duration from 100us to 100ms")
			}
			return nil
		}), nil, "How long it runs at a time: of those with the same nice value, who asks for less is served sooner, and has no more of the CPU for it. Linux 6.12."},
		{"realtime", count(&l.Realtime, sys.RealtimeLeast, sys.RealtimeMost-1), nil, "The priority in the class SCHED_RR, before which all other work of the machine waits, but for the loop, which then runs above the highest. Stands alone."},
	}
}

// boost checks that levels rise, and that they can be reached.
func (d *decoder) boost(a *app) {
	at := join(a.at, "boost")
	for i := range a.Boost {
		l := &a.Boost[i]
		if int(l.From) > a.Limits.PriorityMax {
			d.errorf(at, "%d: it is above the app's priority_max %d", l.From, a.Limits.PriorityMax)
		}
		if i == 0 {
			continue
		}
		if under := &a.Boost[i-1]; lower(l, under) {
			d.errorf(at, "%d: it is less urgent than %d", l.From, under.From)
		}
	}
}

// lower reports whether a level asks for less than the one under it.
func lower(l, under *executor.Level) bool {
	switch {
	case l.Realtime > 0 || under.Realtime > 0:
		return l.Realtime < under.Realtime
	case under.Nice != nil && (l.Nice == nil || *l.Nice > *under.Nice):
		return true
	}
	return under.Slice > 0 && l.Nice == nil && (l.Slice == 0 || l.Slice > under.Slice)
}
