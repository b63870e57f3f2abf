package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// printPolicy shows the filters of an app to people.
func (p *program) printPolicy(about policyAbout) error {
	rows := [][]string{{"app", about.App}, {"mode", about.Mode}}
	if about.Start == nil {
		rows = append(rows, []string{"seccomp", "none: every system call is allowed"})
	}
	if err := p.table(rows); err != nil {
		return err
	}
	for _, f := range []struct {
		title string
		about *filterAbout
	}{{"from before the program begins", about.Start}, {"besides, from readiness on", about.Ready}} {
		if f.about == nil {
			continue
		}
		fmt.Fprintf(p.out, "\n%s\n", f.title)
		if err := p.printFilter(f.about); err != nil {
			return err
		}
	}
	fmt.Fprintln(p.out)
	for _, s := range about.Shielded {
		word := "denied "
		if s.Passes {
			word = "ALLOWED"
		}
		fmt.Fprintf(p.out, "%s  %s: %s\n", word, s.Call, s.Why)
	}
	return nil
}

func (p *program) printFilter(f *filterAbout) error {
	rows := [][]string{
		{"profile", f.Profile},
		{"instructions", strconv.Itoa(f.Instructions)},
		{"architectures", strings.Join(f.Archs, " ")},
		{"other architectures", f.Foreign},
		{"newer calls", f.Newer},
		{"all other calls", f.Otherwise},
	}
	if len(f.Flags) > 0 {
		rows = append(rows, []string{"flags", strings.Join(f.Flags, " ")})
	}
	if err := p.table(rows); err != nil {
		return err
	}
	for _, t := range f.Told {
		fmt.Fprintf(p.out, "%s: %s; ", t.Action, t.Handler)
		if t.Missing != "" {
			fmt.Fprintf(p.out, "its name is not told: %s\n", t.Missing)
		} else {
			fmt.Fprintf(p.out, "%s\n", t.Told)
		}
	}
	for _, answer := range f.order {
		calls := f.Answers[answer]
		fmt.Fprintf(p.out, "%s (%d)\n", answer, len(calls))
		p.printWords(calls)
	}
	for _, name := range slices.Sorted(maps.Keys(f.ByArguments)) {
		fmt.Fprintf(p.out, "%s\n", name)
		p.printCases(f.ByArguments[name])
	}
	return nil
}

// printCases prints what a call gets, with the conditions of the same answer together.
func (p *program) printCases(cases []caseText) {
	for i := 0; i < len(cases); {
		words := []string{cases[i].Answer, "if", cases[i].If}
		if cases[i].If == "" {
			words = []string{cases[i].Answer, "otherwise"}
		}
		for i++; i < len(cases) && cases[i].Answer == cases[i-1].Answer; i++ {
			words = append(words, "or", cases[i].If)
		}
		p.printWords(words)
	}
}

// pageWidth is how long lines of words are.
const pageWidth = 100

// printWords prints words in lines.
func (p *program) printWords(words []string) {
	line := " "
	for _, w := range words {
		if len(line)+1+len(w) > pageWidth {
			fmt.Fprintln(p.out, line)
			line = " "
		}
		line += " " + w
	}
	fmt.Fprintln(p.out, line)
}
