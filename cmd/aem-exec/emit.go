package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/aem-exec/aem-exec/control"
)

func (p *program) emitVerb() *cobra.Command {
	var data, file string
	wait := false
	c := &cobra.Command{
		Use:     "emit APP/TOPIC",
		Short:   "Publish an event under a topic",
		Example: "  aem-exec emit shop/order --data '{\"sku\": 7}' --wait",
		Args:    cobra.ExactArgs(1),
		RunE: p.verb(func(c *cobra.Command, args []string) error {
			payload, err := p.payload(data, file)
			if err != nil {
				return err
			}
			return p.emit(c.Context(), control.Request{Op: control.OpEmit, Topic: args[0], Wait: wait, Data: payload})
		}),
	}
	c.Flags().StringVar(&data, "data", "", "the event's data, `-` reads it from standard input")
	c.Flags().StringVar(&file, "file", "", "`FILE` that holds the event's data")
	c.Flags().BoolVar(&wait, "wait", false, "wait for its fate in every job: exit 0 when all are done")
	c.MarkFlagsMutuallyExclusive("data", "file")
	return p.jsonFlag(c)
}

// payload is the event's data: the text itself, standard input or a file.
func (p *program) payload(data, file string) ([]byte, error) {
	switch {
	case file != "":
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return readData(f)
	case data == "-":
		return readData(p.in)
	}
	return []byte(data), nil
}

// readData reads no more than shows that it is too much: the request's check refuses it.
func readData(r io.Reader) ([]byte, error) {
	return io.ReadAll(io.LimitReader(r, control.MaxDataBytes+1))
}

func (p *program) emit(ctx context.Context, req control.Request) error {
	reply, err := p.ask(ctx, req)
	if err != nil {
		return err
	}
	emitted, err := control.ResultOf[control.Emitted](reply)
	if err != nil {
		return err
	}
	if err := p.printEmitted(emitted, req.Wait); err != nil {
		return err
	}
	if status := worst(emitted.Fates); status != exitDone {
		return told(status)
	}
	return nil
}

func (p *program) printEmitted(e control.Emitted, waited bool) error {
	if p.json {
		return p.printJSON(e)
	}
	if !waited {
		_, err := fmt.Fprintf(p.out, "%v: %s\n", e.ID, count(e.Jobs, "job"))
		return err
	}
	rows := [][]string{{"JOB", "OUTCOME", "REASON"}}
	for _, f := range e.Fates {
		rows = append(rows, []string{f.Job, f.Outcome, string(f.Reason)})
	}
	if err := p.table(rows); err != nil {
		return err
	}
	return p.printReplies(e.Fates)
}

// printReplies prints what handlers answered as it is, each behind a line with its job where there are several.
func (p *program) printReplies(fates []control.Fate) error {
	for _, f := range fates {
		if len(f.Reply) == 0 {
			continue
		}
		if len(fates) > 1 {
			fmt.Fprintf(p.out, "\n%s:\n", f.Job)
		} else {
			fmt.Fprintln(p.out)
		}
		if _, err := p.out.Write(f.Reply); err != nil {
			return err
		}
		if f.Reply[len(f.Reply)-1] != '\n' {
			fmt.Fprintln(p.out)
		}
	}
	return nil
}

// worst is the exit status for several fates: one failure outweighs what may be tried again.
func worst(all []control.Fate) int {
	status := exitDone
	for _, f := range all {
		s, known := fates[f.Outcome]
		if !known || s == exitFailed {
			return exitFailed
		}
		status = max(status, s)
	}
	return status
}
