package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// console shows what counts of a guest's console: its steps, and tests that failed. The whole is in bin/vm-GUEST.log, and is
// shown when the run failed.
type console struct {
	name    string
	verbose bool
	whole   *os.File
	line    []byte
	missing map[string]int // tests that were skipped, by the feature that the guest lacks
	said    []byte         // what a test said last
	reasons []string       // why the run failed, for its end
}

func newConsole(name string, verbose bool) (*console, error) {
	if err := os.MkdirAll("bin", 0o755); err != nil {
		return nil, err
	}
	whole, err := os.Create("bin/vm-" + name + ".log")
	return &console{name: name, verbose: verbose, whole: whole, missing: map[string]int{}}, err
}

// shown are the lines that count. Tests that were skipped are counted: aemtest.Require lets a guest skip only for programs
// that it does not have, for cgroup v1, and for root where a step is another user's.
var (
	shown   = regexp.MustCompile(`^VM: |^\s*--- FAIL: `)
	skipped = regexp.MustCompile(`: missing feature ([^:]+): `)
	said    = regexp.MustCompile(`^\s*\w+_test\.go:\d+: `)
	failed  = regexp.MustCompile(`^VM: .* FAIL |^\s*--- FAIL: |^panic: |Kernel panic|BUG: | RIP: `)
)

// reasonsShown and reasonBytes bound what is repeated at the end, of which those who read only that see all.
const (
	reasonsShown = 8
	reasonBytes  = 160
)

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
	if lack := skipped.FindSubmatch(c.line); lack != nil {
		c.missing[string(lack[1])]++
	}
	switch {
	case bytes.HasPrefix(c.line, []byte("=== RUN")):
		c.said = c.said[:0]
	case said.Match(c.line):
		c.said = append(c.said[:0], c.line...)
	case failed.Match(c.line):
		c.reason(c.said)
		c.reason(c.line)
		c.said = c.said[:0]
	}
	c.line = c.line[:0]
}

// reason keeps a line that says why the run failed.
func (c *console) reason(line []byte) {
	if line = bytes.TrimSpace(line); len(line) > 0 && len(c.reasons) < reasonsShown {
		c.reasons = append(c.reasons, string(line[:min(len(line), reasonBytes)]))
	}
}

// end is the end of a run that returned err.
func (c *console) end(err error) error {
	defer c.whole.Close()
	for _, feature := range slices.Sorted(maps.Keys(c.missing)) {
		fmt.Printf("vm: %s: skipped for want of %s: %d tests\n", c.name, feature, c.missing[feature])
	}
	if err != nil && !c.verbose {
		text, read := os.ReadFile(c.whole.Name())
		fmt.Printf("%s\n", text)
		err = errors.Join(err, read)
	}
	if err != nil && len(c.reasons) > 0 {
		return fmt.Errorf("%w:\n\t%s", err, strings.Join(c.reasons, "\n\t"))
	}
	return err
}
