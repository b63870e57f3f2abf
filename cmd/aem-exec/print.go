package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/aem-exec/aem-exec/config"
)

// complain tells why a command ends.
func (p *program) complain(err error) {
	var lines config.Errors
	switch {
	case err == nil, errors.As(err, new(told)):
	case errors.As(err, &lines):
		fmt.Fprintf(p.err, "%v\n%s\n", lines, count(len(lines), "error"))
	default:
		fmt.Fprintf(p.err, "aem-exec: %v\n", err)
	}
}

// printJSON prints a result for programs.
func (p *program) printJSON(result any) error {
	e := json.NewEncoder(p.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(result)
}

// table prints rows in aligned columns, the first one being their names.
func (p *program) table(rows [][]string) error {
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i := range row {
			row[i] = cell(row[i])
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// cell is a value that stays in its column.
func cell(s string) string {
	if s == "" {
		return "-"
	}
	if harmless(s) != s || strings.ContainsAny(s, "\t\n") {
		return strconv.Quote(s)
	}
	return s
}

// line is a value that stays on its line.
func line(s string) string { return strings.ReplaceAll(harmless(s), "\n", `\n`) }

// harmless is s without the control characters that move a terminal about: facts and data come from outside.
func harmless(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && r != '\n' && !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// when prints a time for people, "-" for none.
func when(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

// moments prints some times in a line.
func moments(times []time.Time) string {
	texts := make([]string, len(times))
	for i := range times {
		texts[i] = when(&times[i])
	}
	return strings.Join(texts, ", ")
}

// count is "1 error" or "4 errors".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
