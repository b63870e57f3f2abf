package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/test/vm/guest"
)

// cPrograms are the sources of the C programs that those tests run.
var cPrograms = []string{"internal/spawn/testdata/*.c", "examples/handlers/*/*.c", "test/sdk/testdata/*.c", "test/attach/testdata/*.c", "test/attack/*.c"}

// hostPackages are the packages of the host whose programs those tests run. Debian cannot be without them.
var hostPackages = []string{"coreutils", "dash", "grep", "hostname", "util-linux"}

// binaries is where the tests and programs are that were built for guests.
type binaries struct{ dir string }

// build builds for guests, statically: their files are no system to link against.
func build(dir string) (*binaries, error) {
	b := &binaries{dir}
	packages := make([]string, len(tested))
	for i, t := range tested {
		packages[i] = "./" + t.pkg
	}
	for _, args := range [][]string{
		append([]string{"test", "-c", "-ldflags=-s -w", "-o", b.tests("")}, packages...),
		{"build", "-ldflags=-s -w", "-o", b.programs(""), "./cmd/aem-exec", "./examples/handlers/...", "./test/vm/init"},
	} {
		cmd := exec.Command("go", args...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("go %v: %v\n%s", args, err, out)
		}
	}
	for _, pattern := range cPrograms {
		sources, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		for _, source := range sources {
			if _, err := aemtest.CProgram(b.programs(""), source, "cc", "-O2", "-static", "-I", "sdk/c"); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

func (b *binaries) tests(name string) string    { return filepath.Join(b.dir, "tests") + "/" + name }
func (b *binaries) programs(name string) string { return filepath.Join(b.dir, "programs") + "/" + name }

// hostTree is a small system made of programs of this host.
func (b *binaries) hostTree() (guest.Tree, error) {
	t := guest.NewTree()
	for _, name := range hostPackages {
		if err := t.Programs(name); err != nil {
			return nil, err
		}
	}
	for _, file := range []string{"/etc/passwd", "/etc/group"} {
		if err := t.File(file, file); err != nil {
			return nil, err
		}
	}
	t.Text("etc/hosts", "127.0.0.1 localhost\n")
	t.Text("etc/shadow", "root:*:::::::\n")
	return t, nil
}

// addTests adds the tests, what was built for them, and the files of the repository, which they look into.
func (b *binaries) addTests(t guest.Tree) error {
	all := func(string) bool { return false }
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return err
	}
	return errors.Join(
		t.File(zoneInfo, filepath.Join(strings.TrimSpace(string(goroot)), "lib/time/zoneinfo.zip")),
		t.Folder("source", ".", func(rel string) bool { return rel == ".git" || rel == "bin" || rel == "run" }),
		t.Folder("tests", filepath.Clean(b.tests("")), all),
		t.Folder(aemtest.GuestPrograms, filepath.Clean(b.programs("")), all),
	)
}

// zoneInfo is where guests have the time zones.
const zoneInfo = "/zoneinfo.zip"
