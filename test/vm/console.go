package main

import (
	"bytes"
	"fmt"
	"regexp"
)

// console shows what counts of a guest's console: its steps, and tests that failed or were skipped. The whole is shown
// when the run failed.
type console struct {
	name    string
	verbose bool
	whole   bytes.Buffer
	line    []byte
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
	c.whole.Write(c.line)
	if c.verbose || shown.Match(c.line) {
		fmt.Printf("vm: %s: %s", c.name, c.line)
	}
	c.line = c.line[:0]
}

// end is the end of a run that returned err.
func (c *console) end(err error) error {
	if err != nil && !c.verbose {
		fmt.Printf("%s\n", c.whole.Bytes())
	}
	return err
}
