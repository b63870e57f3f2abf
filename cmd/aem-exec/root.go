package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// program is one run of the command line: results go to out, everything else to err.
type program struct {
	in       io.Reader
	out, err io.Writer

	configFile string // -c
	runtimeDir string // --runtime-dir
	json       bool   // --json

	begun bool // the command line was understood
}

// execute runs the command line and returns its exit status.
func execute(args []string, in io.Reader, out, errs io.Writer) int {
	p := &program{in: in, out: out, err: errs}
	root := p.root()
	root.SetArgs(args)
	err := root.Execute()
	if err != nil && !p.begun {
		err = usageError{err}
	}
	p.complain(err)
	return exitStatus(err)
}

func (p *program) root() *cobra.Command {
	root := p.group(&cobra.Command{
		Use:           "aem-exec",
		Short:         "Run handlers when events happen",
		SilenceErrors: true,
		SilenceUsage:  true,
	}, p.runVerb(), p.checkVerb(), p.emitVerb(), p.ctlVerb(), p.sourcesVerb(), p.explainVerb(), p.tryVerb(), p.policyVerb(), p.genVerb(), p.versionVerb())
	flags := root.PersistentFlags()
	flags.StringVarP(&p.configFile, "config", "c", "", "configuration `FILE` (run, check: default ./aem.toml, then /etc/aem/aem.toml)")
	flags.StringVar(&p.runtimeDir, "runtime-dir", "", "`DIR` of control.sock")
	root.SetIn(p.in)
	root.SetOut(p.out)
	root.SetErr(p.err)
	return root
}

// group makes a verb of verbs. Alone, or with a word that is none of them, it is a usage error: cobra would print help
// and succeed.
func (p *program) group(c *cobra.Command, verbs ...*cobra.Command) *cobra.Command {
	c.Args = cobra.ArbitraryArgs
	c.SuggestionsMinimumDistance = 2
	c.RunE = func(c *cobra.Command, args []string) error {
		problem := "want a verb"
		if len(args) > 0 {
			problem = fmt.Sprintf("unknown verb %q", args[0])
			if near := c.SuggestionsFor(args[0]); len(near) > 0 {
				problem += fmt.Sprintf(" (did you mean %s?)", near[0])
			}
		}
		return fmt.Errorf("%s; see %s --help", problem, c.CommandPath())
	}
	c.AddCommand(verbs...)
	return c
}

// verb makes what a command does. What goes wrong before it is called is a usage error.
func (p *program) verb(do func(c *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		p.begun = true
		return do(c, args)
	}
}

// jsonFlag gives --json to a command, or to all of a group.
func (p *program) jsonFlag(c *cobra.Command) *cobra.Command {
	c.PersistentFlags().BoolVar(&p.json, "json", false, "print JSON")
	return c
}
