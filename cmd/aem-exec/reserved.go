package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// The verbs that are reserved. They are refused, and not shown.
var (
	laterCtlVerbs  = []string{"filter", "reload"}
	laterStopFlags = []string{"close"}
)

func (p *program) reserved(names []string) []*cobra.Command {
	var commands []*cobra.Command
	for _, name := range names {
		commands = append(commands, &cobra.Command{
			Use:                name,
			Hidden:             true,
			DisableFlagParsing: true, // its flags are later's, too
			RunE:               func(*cobra.Command, []string) error { return notYet(name) },
		})
	}
	return commands
}

func notYet(what string) error { return fmt.Errorf("%s: not supported yet", what) }

// refuseLater refuses the reserved flags that were given.
func refuseLater(c *cobra.Command, names []string) error {
	for _, name := range names {
		if f := c.Flags().Lookup(name); f != nil && f.Changed {
			return usageError{notYet(c.Name() + " --" + name)}
		}
	}
	return nil
}
