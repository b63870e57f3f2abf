package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
)

func (p *program) lookupVerb() *cobra.Command {
	var s selection
	return s.flag(&cobra.Command{
		Use:   "lookup SELECTOR...",
		Short: "Show everything about jobs, with their latest failures",
		RunE: p.verb(func(c *cobra.Command, args []string) error {
			req, err := s.jobs(control.OpLookup, args)
			if err != nil {
				return err
			}
			return show(c.Context(), p, req, p.printLookups)
		}),
	}, "all jobs")
}

// printLookups prints a block of lines for each job, an empty line between two.
func (p *program) printLookups(jobs []control.Lookup) error {
	for i, j := range jobs {
		if i > 0 {
			fmt.Fprintln(p.out)
		}
		c := j.Counts
		rows := [][]string{
			{"job", fmt.Sprintf("%s/%s:%s", j.App, j.Event, j.Handler)},
			{"id", j.ID.String()},
			{"type", j.Type},
			{"state", state(j.JobStatus)},
			{"agent", agent(j.JobStatus)},
			{"priority", fmt.Sprint(j.Priority)},
			{"last", when(j.Last)},
			{"next", moments(j.NextRuns)},
			{"counts", fmt.Sprintf("detected=%d done=%d failed=%d expired=%d shed=%d waiting=%d running=%d",
				c.Detected, c.Done, c.Failed, c.Expired, c.Shed, c.Waiting, c.Running)},
		}
		if j.Filter != "" {
			rows = append(rows, []string{"filter", j.Filter})
		}
		if j.Filtered > 0 {
			rows = append(rows, []string{"filtered", fmt.Sprint(j.Filtered)})
		}
		if j.Missed > 0 {
			rows = append(rows, []string{"missed", fmt.Sprintf("%d deadlines", j.Missed)})
		}
		if h := j.Hold; h != nil {
			rows = append(rows, []string{"held", fmt.Sprintf("%s, %d kept since %s", h.Reason, h.Count, h.Since.Local().Format(time.DateTime))})
		}
		if a := j.Arena; a != nil {
			rows = append(rows, []string{"arena", arena(a.Arena)})
			for _, process := range a.Processes {
				rows = append(rows, []string{"arena", fmt.Sprintf("pid=%d %s", process.PID, arena(process.Arena))})
			}
		}
		if err := p.table(rows); err != nil {
			return err
		}
		for _, failure := range j.Failures {
			fmt.Fprintln(p.out, line(failure))
		}
	}
	return nil
}

// arena is what an arena has seen, in bytes and in times.
func arena(a aem.Arena) string {
	return fmt.Sprintf("size=%d used=%d peak=%d grown=%d full=%d copies=%d bytes=%d short=%d",
		a.Size, a.Used, a.Peak, a.Grown, a.Full, a.Copies, a.Bytes, a.Short)
}
