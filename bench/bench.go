package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// turns is how many blocks each contender is measured in.
const turns = 20

// bench is what the benchmarks of one run share.
type bench struct {
	dir  string // for programs and sockets; removed at the end
	root bool   // so handlers get a uid of their own and a cgroup
}

func newBench() (*bench, error) {
	if _, err := os.Stat("bench/testdata"); err != nil {
		return nil, errors.New("run it in the repository's first folder, as `go run ./bench`")
	}
	dir, err := os.MkdirTemp("", "aem-bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{dir: dir, root: os.Geteuid() == 0}
	if !b.root {
		b.say("not root: handlers run as the same user and without a cgroup")
	}
	return b, os.Chmod(dir, 0o755) // handlers of another user execute what lies here
}

func (b *bench) close() error { return os.RemoveAll(b.dir) }

// say tells people something; standard output is for figures.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}

// compile makes a static program of bench/testdata/NAME.c, once.
func (b *bench) compile(name string, flags ...string) (string, error) {
	out := filepath.Join(b.dir, name)
	args := []string{"cc", "-O2", "-static", "-Wall", "-I", "sdk/c", "-o", out, "bench/testdata/" + name + ".c"}
	return out, build(out, append(args, flags...))
}

// compileWith makes a program that links libraries of the host, once.
func (b *bench) compileWith(name string, libraries ...string) (string, error) {
	out := filepath.Join(b.dir, name)
	args := []string{"cc", "-O2", "-Wall", "-o", out, "bench/testdata/" + name + ".c"}
	return out, build(out, append(args, libraries...))
}

// compileGo makes the Go program of a package, once.
func (b *bench) compileGo(name, pkg string) (string, error) {
	out := filepath.Join(b.dir, name)
	return out, build(out, []string{"go", "build", "-o", out, pkg})
}

func build(out string, command []string) error {
	if _, err := os.Stat(out); err == nil {
		return nil
	}
	text, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("build %s: %w\n%s", filepath.Base(out), err, text)
	}
	return nil
}
