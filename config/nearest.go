package config

// suggest is ` (did you mean x?)` for the known name that is nearest to what was written, or "".
func suggest(written string, known []string) string {
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
	if best == "" {
		return ""
	}
	return " (did you mean " + best + "?)"
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
