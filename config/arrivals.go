package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/aem-exec/aem-exec/internal/filter"
	"github.com/aem-exec/aem-exec/source"
	"github.com/aem-exec/aem-exec/supervisor"
)

// arrivals checks what the event states about its arrivals against its type.
func (d *decoder) arrivals(e *event, t eventType) {
	row, ok := source.TypeNamed(t.name)
	if !ok {
		return
	}
	if e.Arrivals == supervisor.MergeArrival && row.Merge == nil {
		d.errorIn(e.at, "arrivals", "events of type %s cannot be merged: each is for itself", t.name)
	}
	if e.Filter == "" {
		return
	}
	kinds := source.Kinds(row.Facts)
	if _, err := filter.Compile(e.Filter, kinds); err != nil {
		d.errorf(join(e.at, "filter"), "%v%s", err, suggestName(err, filterNames(row)))
	}
}

// filterNames are the names that a filter of a type may have.
func filterNames(t source.Type) []string {
	return slices.Concat(source.Names(t.Facts), slices.Sorted(maps.Keys(filter.Common)))
}

// suggestName is the name nearest to one that a filter does not know.
func suggestName(err error, names []string) string {
	_, name, ok := strings.Cut(err.Error(), "unknown name ")
	if !ok {
		return ""
	}
	name, _, _ = strings.Cut(name, " ")
	return suggest(name, names)
}
