package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/aem-exec/aem-exec/control"
)

// jobVerb is a verb that does something to the selected jobs.
type jobVerb struct {
	name, alias string
	op          control.Op
	done        string // what is said of each job
	short       string
	later       []string // reserved flags
}

var jobVerbs = []jobVerb{
	{name: "start", op: control.OpStart, done: "started", short: "Start jobs: they detect events"},
	{name: "stop", op: control.OpStop, done: "stopped", short: "Stop jobs: they detect no more", later: laterStopFlags},
	{name: "fire", op: control.OpFire, done: "fired", short: "Make an event by hand"},
	{name: "remove", alias: "shutdown", op: control.OpRemove, done: "removed", short: "Remove jobs for good"},
}

func (p *program) jobVerb(v jobVerb) *cobra.Command {
	var s selection
	c := &cobra.Command{
		Use:   v.name + " SELECTOR...",
		Short: v.short,
		RunE: p.verb(func(c *cobra.Command, args []string) error {
			if err := refuseLater(c, v.later); err != nil {
				return err
			}
			req, err := s.jobs(v.op, args)
			if err != nil {
				return err
			}
			return show(c.Context(), p, req, func(jobs []control.Touched) error { return p.printTouched(v.done, jobs) })
		}),
	}
	if v.alias != "" {
		c.Aliases = []string{v.alias}
	}
	for _, name := range v.later {
		c.Flags().Bool(name, false, "")
		_ = c.Flags().MarkHidden(name) // fails only for a flag that is not there
	}
	return s.flag(c, "all jobs")
}

// printTouched says what was done to which job.
func (p *program) printTouched(done string, jobs []control.Touched) error {
	for _, j := range jobs {
		text := fmt.Sprintf("%s %v %s", done, j.ID, j.Job)
		if j.Event != 0 {
			text += fmt.Sprintf(" event %v", j.Event)
		}
		if _, err := fmt.Fprintln(p.out, text); err != nil {
			return err
		}
	}
	return nil
}
