// Command bench measures what aem-exec costs, against the least that the machine can do and against programs that do
// part of the same.
//
//	go run ./bench                         lists the benchmarks
//	go run ./bench GROUP|NAME... [--json]  runs them
//	go run ./bench table FILE              prints a file made with --json as the tables of docs/performance.md
//
// Every figure has a floor where there is one: a C program or a bare primitive that is measured in the same run. Both
// take turns in short blocks, and the ratio is the median of the blocks' ratios, because this machine and its
// neighbours are now fast and now slow. It needs cc; peers that are not installed are named and left out. Without root
// handlers run as who runs it and without a cgroup, which is said.
//
// It judges nothing and fails for no figure: that is for who reads them.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
)

func main() {
	runtime.LockOSThread() // servers are told to end when the thread that started them does
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) == 2 && args[0] == "table" {
		return printTables(out, args[1])
	}
	asJSON := slices.Contains(args, "--json")
	args = slices.DeleteFunc(args, func(a string) bool { return a == "--json" })
	if len(args) == 0 {
		list(out)
		return nil
	}
	chosen, err := choose(args)
	if err != nil {
		return err
	}
	b, err := newBench()
	if err != nil {
		return err
	}
	rows, err := b.runAll(chosen, asJSON)
	if err := errors.Join(err, b.close()); err != nil {
		return err
	}
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(rows)
	}
	return nil
}

// runAll runs benchmarks one after the other. Without JSON each one's rows are shown when it is done.
func (b *bench) runAll(chosen []benchmark, asJSON bool) ([]row, error) {
	all := []row{}
	for _, m := range chosen {
		rows, err := m.run(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		if !asJSON {
			printText(os.Stdout, rows)
		}
		all = append(all, rows...)
	}
	return all, nil
}
