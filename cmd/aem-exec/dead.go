package main

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
)

func (p *program) deadVerb() *cobra.Command {
	return p.group(&cobra.Command{
		Use:   "dead",
		Short: "Look after dead letters: the events that failed",
	}, p.deadListVerb(), p.deadShowVerb(), p.deadReplayVerb(), p.deadDropVerb())
}

// letters makes a request about dead letters: an argument that is a number is the id of one, any other selects jobs.
func (s *selection) letters(op control.Op, args []string) (control.Request, error) {
	req := control.Request{Op: op, All: s.all}
	for _, arg := range control.SplitList(strings.Join(args, " ")) {
		if id, err := aem.ParseEventID(arg); err == nil {
			req.IDs = append(req.IDs, id)
			continue
		}
		sel, err := control.ParseSelector(arg)
		if err != nil {
			return req, usageError{err}
		}
		req.Selectors = append(req.Selectors, sel)
	}
	return req, nil
}

func (p *program) deadListVerb() *cobra.Command {
	var s selection
	return s.flag(&cobra.Command{
		Use:   "list [ID|SELECTOR...]",
		Short: "List dead letters, oldest first",
		RunE: p.verb(func(c *cobra.Command, args []string) error {
			req, err := s.letters(control.OpDeadList, args)
			if err != nil {
				return err
			}
			return show(c.Context(), p, req, p.printLetters)
		}),
	}, "all dead letters, as without argument")
}

func (p *program) printLetters(letters []control.Letter) error {
	rows := [][]string{{"ID", "JOB", "TYPE", "FAILED", "REASON", "ATTEMPTS", "SIZE"}}
	for _, l := range letters {
		rows = append(rows, []string{l.ID.String(), l.Job, l.Type, when(&l.Failed), string(l.Reason),
			strconv.Itoa(l.Attempts), strconv.Itoa(l.Size)})
	}
	return p.table(rows)
}

func (p *program) deadReplayVerb() *cobra.Command {
	var s selection
	return s.flag(&cobra.Command{
		Use:   "replay ID|SELECTOR...",
		Short: "Detect failed events anew",
		RunE: p.verb(func(c *cobra.Command, args []string) error {
			req, err := s.letters(control.OpDeadReplay, args)
			if err != nil {
				return err
			}
			return show(c.Context(), p, req, p.printReplayed)
		}),
	}, "all dead letters")
}

func (p *program) printReplayed(replayed []control.Replayed) error {
	rows := [][]string{{"DEAD", "REPLAYED AS"}}
	for _, r := range replayed {
		rows = append(rows, []string{r.Of.String(), r.ID.String()})
	}
	return p.table(rows)
}

func (p *program) deadDropVerb() *cobra.Command {
	var s selection
	return s.flag(&cobra.Command{
		Use:   "drop ID|SELECTOR...",
		Short: "Drop dead letters for good",
		RunE: p.verb(func(c *cobra.Command, args []string) error {
			req, err := s.letters(control.OpDeadDrop, args)
			if err != nil {
				return err
			}
			return show(c.Context(), p, req, p.printDropped)
		}),
	}, "all dead letters")
}

func (p *program) printDropped(dropped []aem.EventID) error {
	rows := [][]string{{"DROPPED"}}
	for _, id := range dropped {
		rows = append(rows, []string{id.String()})
	}
	return p.table(rows)
}
