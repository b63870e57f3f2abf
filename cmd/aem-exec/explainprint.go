package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aem-exec/aem-exec/executor"
)

// printExplanation shows it to people.
func (p *program) printExplanation(e *explanation) error {
	who := "?"
	if u := e.User; u != nil {
		who = fmt.Sprintf("%s, uid %d, gid %d, groups %s", u.Name, u.UID, u.GID, strings.Trim(fmt.Sprint(u.Groups), "[]"))
		if u.Own {
			who += " (who runs the supervisor)"
		}
	}
	seccomp := fmt.Sprintf("%s, %d instructions, mode %s", e.Policy.Seccomp, e.Policy.Instructions, e.Policy.Mode)
	if e.Policy.Ready != "" {
		seccomp = fmt.Sprintf("%s, from readiness on %s too, %d instructions, mode %s", e.Policy.Seccomp, e.Policy.Ready, e.Policy.Instructions, e.Policy.Mode)
	}
	rows := [][]string{
		{"event", e.Event}, {"type", e.Type}, {"facts", strings.Join(e.Facts, " ")}, {"priority", strconv.Itoa(e.Priority)},
		{"starts", map[bool]string{true: "with the supervisor", false: "when it is told to"}[e.Start]},
		{"user", who}, {"limits", strings.Join(e.order, ", ")}, {"seccomp", seccomp},
		{"privileges", "no capabilities, no_new_privs"},
	}
	if err := p.table(rows); err != nil {
		return err
	}
	for i := range e.Handlers {
		fmt.Fprintln(p.out)
		if err := p.table(e.Handlers[i].rows()); err != nil {
			return err
		}
	}
	for _, text := range e.Problems {
		fmt.Fprintf(p.out, "problem: %s\n", text)
	}
	return nil
}

func (h *handlerAbout) rows() [][]string {
	if h.Agent != string(executor.Process) {
		rows := [][]string{{"handler", h.Name}, {"agent", h.Agent}, {"call", h.Call}, {"concurrency", strconv.Itoa(h.Concurrency)}}
		for _, name := range slices.Sorted(maps.Keys(h.Args)) {
			rows = append(rows, []string{"args." + name, fmt.Sprint(h.Args[name])})
		}
		return rows
	}
	rows := [][]string{
		{"handler", h.Name}, {"agent", h.Agent + ", " + h.Life}, {"program", h.Program}, {"arguments", fmt.Sprintf("%q", h.Arguments)},
		{"directory", h.Dir}, {"umask", h.Umask}, {"handover", h.Handover},
	}
	for _, d := range h.open {
		rows = append(rows, []string{"descriptor " + span(d), d.Is})
	}
	for _, variable := range h.Env {
		rows = append(rows, []string{"environment", variable})
	}
	if h.Rlimits != nil {
		var all []string
		for _, name := range slices.Sorted(maps.Keys(h.Rlimits)) {
			all = append(all, name+" "+h.Rlimits[name])
		}
		rows = append(rows, []string{"rlimits", strings.Join(all, ", ")})
	}
	return append(rows, []string{"and of events", strings.Join(h.Variables, " ")}, []string{"concurrency", strconv.Itoa(h.Concurrency)},
		[]string{"timeout", h.Timeout}, []string{"success", h.Success}, []string{"retries", strconv.Itoa(h.Retries)}, []string{"backoff", h.Backoff})
}
