package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/aem-exec/aem-exec/policy"
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

// profile is a file with the filter that handlers run under here: Docker's default profile, which allows more than 300
// calls, for the machine's own architecture alone. With the two others that Docker adds it is three times as long, and
// takes three times as long to install.
func (b *bench) profile() (string, error) {
	p, err := policy.Load("policy/testdata/moby.json")
	if err != nil {
		return "", err
	}
	p.Architectures = nil
	text, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	file := filepath.Join(b.dir, "profile.json")
	return file, os.WriteFile(file, text, 0o644)
}

// compile makes a static program of bench/testdata/NAME.c, once.
func (b *bench) compile(name string, flags ...string) (string, error) {
	out := filepath.Join(b.dir, name)
	args := []string{"cc", "-O2", "-static", "-Wall", "-I", "sdk/c", "-o", out, "bench/testdata/" + name + ".c"}
	return out, build(out, append(args, flags...))
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
