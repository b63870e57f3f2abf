package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
)

func (p *program) listVerb() *cobra.Command {
	var s selection
	return s.flag(&cobra.Command{
		Use:   "list [SELECTOR...]",
		Short: "List jobs",
		RunE: p.verb(func(c *cobra.Command, args []string) error {
			req, err := s.jobs(control.OpList, args)
			if err != nil {
				return err
			}
			return show(c.Context(), p, req, p.printJobs)
		}),
	}, "all jobs, as without selector")
}

func (p *program) printJobs(jobs []aem.JobStatus) error {
	rows := [][]string{{"ID", "EVENT", "HANDLER", "TYPE", "STATE", "AGENT", "PRIO", "DETECTED", "DONE", "FAILED",
		"EXPIRED", "SHED", "WAITING", "RUNNING", "LAST", "NEXT"}}
	for _, j := range jobs {
		row := []string{j.ID.String(), j.App + "/" + j.Event, j.Handler, j.Type, state(j), agent(j), fmt.Sprint(j.Priority)}
		c := j.Counts
		for _, n := range []uint64{c.Detected, c.Done, c.Failed, c.Expired, c.Shed, c.Waiting, c.Running} {
			row = append(row, strconv.FormatUint(n, 10))
		}
		rows = append(rows, append(row, when(j.Last), when(j.Next)))
	}
	return p.table(rows)
}

// state is the job's state and, in brackets, why it is held.
func state(j aem.JobStatus) string {
	if j.Hold == nil {
		return j.State.String()
	}
	return fmt.Sprintf("%s (%s)", j.State, j.Hold.Reason)
}

// agent is the kind of agent and, for a process, its life.
func agent(j aem.JobStatus) string {
	if j.Life == nil {
		return j.Agent
	}
	return j.Agent + " " + *j.Life
}
