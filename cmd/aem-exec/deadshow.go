package main

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/aem-exec/aem-exec/control"
)

// letterWithData is what `dead show --json` prints.
type letterWithData struct {
	control.Letter
	Data []byte `json:"data_base64"`
}

func (p *program) deadShowVerb() *cobra.Command {
	raw := false
	c := &cobra.Command{
		Use:   "show ID",
		Short: "Show a dead letter with its data",
		Args:  cobra.ExactArgs(1),
		RunE: p.verb(func(c *cobra.Command, args []string) error {
			req, err := new(selection).letters(control.OpDeadShow, args)
			if err != nil {
				return err
			}
			reply, err := p.ask(c.Context(), req)
			if err != nil {
				return err
			}
			letter, err := control.ResultOf[control.Letter](reply)
			switch {
			case err != nil:
				return err
			case p.json:
				return p.printJSON(letterWithData{letter, reply.Data})
			case raw:
				_, err := p.out.Write(reply.Data)
				return err
			}
			return p.printLetter(letter, reply.Data)
		}),
	}
	c.Flags().BoolVar(&raw, "raw", false, "print the data alone, byte for byte")
	return c
}

func (p *program) printLetter(l control.Letter, data []byte) error {
	rows := [][]string{
		{"id", l.ID.String()},
		{"job", l.Job},
		{"type", l.Type},
		{"detected", when(&l.Time)},
		{"failed", when(&l.Failed)},
		{"reason", string(l.Reason)},
		{"attempts", strconv.Itoa(l.Attempts)},
	}
	if l.Of != 0 {
		rows = append(rows, []string{"replay of", l.Of.String()})
	}
	for _, f := range l.Facts {
		rows = append(rows, []string{f.Name, f.Value})
	}
	rows = append(rows, []string{"data", count(len(data), "byte")})
	if err := p.table(rows); err != nil {
		return err
	}
	if l.Failure != "" {
		fmt.Fprintln(p.out, line(l.Failure))
	}
	return p.printData(data)
}

// printData prints text as it is and anything else as a dump.
func (p *program) printData(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	text := string(data)
	if !utf8.Valid(data) || harmless(text) != text {
		text = hex.Dump(data)
	}
	_, err := fmt.Fprintf(p.out, "\n%s\n", text)
	return err
}
