package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// row is one figure, in the form of --json.
type row struct {
	Name  string   `json:"name"`
	Value float64  `json:"value"`
	Unit  string   `json:"unit"`
	Floor *float64 `json:"floor"` // measured in the same run; nil where there is none
	Ratio *float64 `json:"ratio"` // median of the blocks' ratios of value to floor
}

func (r *row) against(floor, ratio float64) { r.Floor, r.Ratio = &floor, &ratio }

// printText shows rows to people.
func printText(out io.Writer, rows []row) {
	for _, r := range rows {
		fmt.Fprintf(out, "%-34s %12s %-14s", r.Name, figure(&r.Value), r.Unit)
		if r.Floor != nil {
			fmt.Fprintf(out, " floor %12s  ratio %7s", figure(r.Floor), figure(r.Ratio))
		}
		fmt.Fprintln(out)
	}
}

// printTables prints the rows of a file as Markdown, a table for each group of names.
func printTables(out io.Writer, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var rows []row
	if err := json.Unmarshal(text, &rows); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	group := ""
	for _, r := range rows {
		if first, _, _ := strings.Cut(r.Name, "."); first != group {
			group = first
			fmt.Fprintf(out, "\n| %s | figure | unit | floor | ratio | wanted | |\n|---|---|---|---|---|---|---|\n", group)
		}
		goal := goals[r.Name]
		fmt.Fprintf(out, "| `%s` | %s | %s | %s | %s | %s | %s |\n",
			r.Name, figure(&r.Value), r.Unit, figure(r.Floor), figure(r.Ratio), goal, goal.verdict(&r))
	}
	return nil
}

// figure is a number with three digits that count, or nothing.
func figure(v *float64) string {
	switch {
	case v == nil:
		return ""
	case *v >= 100 || *v == float64(int64(*v)):
		return fmt.Sprintf("%.0f", *v)
	case *v >= 10:
		return fmt.Sprintf("%.1f", *v)
	case *v >= 0.1:
		return fmt.Sprintf("%.2f", *v)
	}
	return fmt.Sprintf("%.4f", *v)
}
