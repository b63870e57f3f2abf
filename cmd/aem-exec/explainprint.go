package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aem-exec/aem-exec/executor"
)

// printExplanation shows it to people.
func (p *program) printExplanation(e *explanation) error {
	if err := p.table(append(e.rows(), e.Kept.rows()...)); err != nil {
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

func (e *explanation) rows() [][]string {
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
	starts := map[bool]string{true: "with the supervisor", false: "when it is told to"}[e.Start]
	if e.Once {
		starts += ", once"
	}
	return append([][]string{
		{"event", e.Event}, {"type", e.Type}, {"facts", strings.Join(e.Facts, " ")}, {"priority", strconv.Itoa(e.Priority)},
		{"starts", starts}, {"arrivals", e.Arrivals + ", at a limit " + e.Full}},
		stated("filter", e.Filter, "expire", e.Expire, "deadline", e.Deadline, "silence", e.Silence,
			"on error", e.OnError, "boost", strings.Join(e.Boost, "; "), "user", who, "limits", strings.Join(e.order, ", "), "seccomp", seccomp)...)
}

// stated are rows of names and values, without those that have no value.
func stated(pairs ...string) (rows [][]string) {
	for pair := range slices.Chunk(pairs, 2) {
		if pair[1] != "" {
			rows = append(rows, pair)
		}
	}
	return rows
}

func (k *keptAbout) rows() [][]string {
	if k == nil {
		return nil
	}
	privileges := "no capabilities, no_new_privs"
	if len(k.Capabilities) > 0 {
		privileges = "capabilities " + strings.Join(k.Capabilities, " ") + ", no_new_privs"
	}
	if !k.Mounts {
		privileges += ", no mounts"
	}
	return [][]string{
		{"privileges", privileges}, {"namespaces", cmp.Or(strings.Join(k.Namespaces, " "), "the supervisor's")},
		{"reads", places(k.Read)}, {"writes", places(k.Write)}, {"signals", k.Signals},
	}
}

// places are paths in words.
func places(paths []string) string {
	if paths == nil {
		return "everywhere"
	}
	return cmp.Or(strings.Join(paths, " "), "nowhere")
}

func (h *handlerAbout) rows() [][]string {
	if h.Agent != string(executor.Process) {
		rows := [][]string{{"handler", h.Name}, {"agent", h.Agent}, {"call", h.Call}}
		for _, name := range slices.Sorted(maps.Keys(h.Args)) {
			rows = append(rows, []string{"args." + name, fmt.Sprint(h.Args[name])})
		}
		return append(rows, h.running()...)
	}
	agent := h.Agent + ", " + h.Life
	if h.Size > 0 {
		agent += fmt.Sprintf(", %d made ahead", h.Size)
	}
	rows := [][]string{
		{"handler", h.Name}, {"agent", agent}, {"program", h.Program}, {"arguments", fmt.Sprintf("%q", h.Arguments)},
		{"directory", h.Dir}, {"umask", h.Umask}, {"handover", h.Handover},
	}
	for _, d := range h.open {
		rows = append(rows, []string{"descriptor " + numbers(d), d.Is})
	}
	if a := h.Arena; a != nil {
		rows = append(rows, []string{"arena", fmt.Sprintf("%d bytes, up to %d, alloc %s, copy %s", a.Size, a.Max, a.Alloc, a.Copy)})
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
	rows = append(rows, []string{"and of events", strings.Join(h.Variables, " ")})
	return append(append(rows, h.running()...), stated("ready timeout", h.Ready, "kill after", h.KillAfter, "leftover", h.Leftover,
		"success", h.Success, "restart", h.Restart)...)
}

// running is how it is run.
func (h *handlerAbout) running() [][]string {
	return stated("nice", whole(h.Nice), "affinity", h.Affinity, "realtime", positive(h.Realtime), "ioprio", h.IOPriority,
		"oom_score_adj", whole(h.OOMScoreAdj), "concurrency", strconv.Itoa(h.Concurrency), "timeout", h.Timeout,
		"retries", strconv.Itoa(h.Retries), "backoff", h.Backoff)
}

func whole(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n)
}

func positive(n int) string {
	if n <= 0 {
		return ""
	}
	return strconv.Itoa(n)
}
