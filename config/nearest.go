package config

import (
	"slices"

	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/supervisor"
)

// meant says what an unknown key of a table may have been meant as: a key of another table, or the nearest of its own, which
// it returns.
func meant(name string, known map[string]bool) (text, own string) {
	var owners []string
	for _, t := range tables() {
		if slices.ContainsFunc(t.rows, func(k key) bool { return k.name == name }) {
			owners = append(owners, t.title)
		}
	}
	if owners != nil {
		return " (a key of " + list(owners) + ")", ""
	}
	own = nearest(name, sorted(known))
	return didYouMean(own), own
}

// titled is a table of the file with the keys that it may have, whatever else it states.
type titled struct {
	title string
	rows  []key
}

// tables are all that a key can have been meant for.
func tables() []titled {
	a, e := new(app), new(event)
	events := eventKeys(e)
	for _, t := range eventTypes(e) {
		events = append(events, t.keys...)
	}
	return []titled{
		{"[supervisor]", supervisorKeys(new(supervisor.Options))},
		{"[app.NAME]", accountKeys(a)},
		{"[app.NAME.limits]", limitKeys(a)},
		{"[app.NAME.policy]", slices.Concat(policyKeys(&a.policy), confinementKeys(&a.confinement))},
		{"[app.NAME.handler.HANDLER]", handlerKeys(new(executor.Spec))},
		{"[app.NAME.event.EVENT]", events},
	}
}

// suggest is ` (did you mean x?)` for the known name that is nearest to what was written, or "".
func suggest(written string, known []string) string { return didYouMean(nearest(written, known)) }

func didYouMean(name string) string {
	if name == "" {
		return ""
	}
	return " (did you mean " + name + "?)"
}

// nearest is the known name that is nearest to what was written, "" if none is near.
func nearest(written string, known []string) string {
	best, least := "", 1+len(written)/4
	if least > 3 {
		least = 3
	}
	for _, k := range known {
		// A difference in length is already as many edits, so a long text costs no more than a short one.
		if d := len(written) - len(k); d > least || -d > least {
			continue
		}
		if d := distance(written, k); d < least || d == least && best == "" {
			best, least = k, d
		}
	}
	return best
}

// distance counts the bytes to insert, drop or change, and the neighbours to swap, that make a into b.
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
