package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// laterStopFlags are flags that are reserved. They are refused, and not shown.
var laterStopFlags = []string{"close"}

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
