package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
)

// console shows what counts of a guest's console: its steps, and tests that failed. The whole is in bin/vm-GUEST.log, and is
// shown when the run failed.
type console struct {
	name    string
	verbose bool
	whole   *os.File
	line    []byte
}

func newConsole(name string, verbose bool) (*console, error) {
	if err := os.MkdirAll("bin", 0o755); err != nil {
		return nil, err
	}
	whole, err := os.Create("bin/vm-" + name + ".log")
	return &console{name: name, verbose: verbose, whole: whole}, err
}

// shown are the lines that count. Tests that were skipped do not: aemtest.Require lets a guest skip only for programs
// that it does not have and for cgroup v1.
var shown = regexp.MustCompile(`^VM: |^\s*--- FAIL: `)

func (c *console) Write(p []byte) (int, error) {
	for _, b := range p {
		if b == '\r' {
			continue
		}
		c.line = append(c.line, b)
		if b == '\n' {
			c.print()
		}
	}
	return len(p), nil
}

// print shows the line that has come to its end.
func (c *console) print() {
	c.whole.Write(c.line) //nolint:errcheck // a full disk does not end the guest
	if c.verbose || shown.Match(c.line) {
		fmt.Printf("vm: %s: %s", c.name, c.line)
	}
	c.line = c.line[:0]
}

// end is the end of a run that returned err.
func (c *console) end(err error) error {
	defer c.whole.Close()
	if err != nil && !c.verbose {
		text, read := os.ReadFile(c.whole.Name())
		fmt.Printf("%s\n", text)
		return errors.Join(err, read)
	}
	return err
}
