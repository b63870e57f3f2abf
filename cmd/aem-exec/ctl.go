package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/aem-exec/aem-exec/control"
)

func (p *program) ctlVerb() *cobra.Command {
	ctl := p.group(&cobra.Command{
		Use:   "ctl",
		Short: "Ask a running supervisor",
	}, p.listVerb(), p.lookupVerb(), p.usageVerb(), p.watchVerb(), p.deadVerb(), p.reloadVerb())
	for _, v := range jobVerbs {
		ctl.AddCommand(p.jobVerb(v))
	}
	return p.jsonFlag(ctl)
}

// ask sends one request to the supervisor.
func (p *program) ask(ctx context.Context, req control.Request) (control.Reply, error) {
	if err := req.Check(); err != nil { // a usage error, whether there is a supervisor or not
		return control.Reply{}, err
	}
	dir, err := p.controlDir()
	if err != nil {
		return control.Reply{}, err
	}
	client, err := control.Dial(dir)
	if err != nil {
		return control.Reply{}, err
	}
	defer client.Close()
	return client.Do(ctx, req)
}

// show asks for an array and prints it: as JSON just as the supervisor said it, else in a form for people.
func show[T any](ctx context.Context, p *program, req control.Request, print func([]T) error) error {
	reply, err := p.ask(ctx, req)
	if err != nil {
		return err
	}
	list, err := control.ResultOf[[]T](reply)
	switch {
	case err != nil:
		return err
	case !p.json:
		return print(list)
	case list == nil: // null: scripts want an array
		return p.printJSON([]T{})
	}
	return p.printJSON(reply.Result)
}

const selectorHelp = `SELECTOR is APP/EVENT, APP/EVENT:HANDLER, a pattern of them like 'shop/*' (in quotes, for the shell) or an id like 12:7,
as "aem-exec ctl list" shows them.`

// selection is what a verb acts on: arguments and --all.
type selection struct{ all bool }

func (s *selection) flag(c *cobra.Command, help string) *cobra.Command {
	c.Flags().BoolVar(&s.all, "all", false, help)
	if strings.Contains(c.Use, "SELECTOR") {
		c.Long = c.Short + "\n\n" + selectorHelp
	}
	return c
}

// jobs makes a request about jobs.
func (s *selection) jobs(op control.Op, args []string) (control.Request, error) {
	selectors, err := control.ParseSelectors(args)
	if err != nil {
		return control.Request{}, usageError{err}
	}
	return control.Request{Op: op, Selectors: selectors, All: s.all}, nil
}
