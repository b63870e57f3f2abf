package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// programsDir is where this run of the tests has the programs that it builds.
func programsDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("aem-test-programs-%d", os.Getpid()))
}

// installed names an aem-exec that is tested in the place of the one which is built here.
const installed = "AEM_TEST_INSTALLED"

// buildPrograms builds aem-exec and the example handlers, these without the race detector: one that is started ten thousand
// times is to be started quickly. It returns their folder.
var buildPrograms = sync.OnceValues(func() (dir string, err error) {
	if err := os.Mkdir(programsDir(), 0o755); err != nil {
		return "", err
	}
	if _, err := aemtest.GoPrograms(programsDir(), "../examples/handlers/..."); err != nil {
		return "", err
	}
	return aemExec(programsDir(), os.Getenv(installed))
})

// aemExec puts aem-exec into a folder: the one that is installed or, if that is "", one that is built, with the race detector
// when the tests have it. It returns the folder that it is in.
func aemExec(dir, installed string) (string, error) {
	if installed != "" {
		return dir, os.Symlink(installed, filepath.Join(dir, "aem-exec"))
	}
	return aemtest.GoPrograms(dir, fmt.Sprintf("-race=%v", raceEnabled), "../cmd/aem-exec")
}

// TestInstalled_R213: the program that is tested is the one that a user names.
func TestInstalled_R213(t *testing.T) {
	dir := t.TempDir()
	own := filepath.Join(dir, "own")
	if err := os.WriteFile(own, []byte("#!/bin/sh\necho the installed one, $1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	at, err := aemExec(dir, own)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(filepath.Join(at, "aem-exec"), "version").Output(); string(out) != "the installed one, version\n" {
		t.Errorf("it says %q, %v", out, err)
	}
}

// program is the path of aem-exec or of an example handler.
func program(t *testing.T, name string) string {
	t.Helper()
	dir, err := buildPrograms()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// folder is a new folder that everybody may enter and who may write; unlike t.TempDir, whose parent is the user's own.
func folder(t *testing.T, who user) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "aem-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, who.uid, who.uid); err != nil {
		t.Fatal(err)
	}
	return dir
}

// user is who a supervisor runs as.
type user struct{ uid int }

// myself is who runs the tests, and nobody somebody without any rights: when the tests run without root, that is the
// same one.
func myself() user { return user{os.Geteuid()} }

func nobody() user {
	if os.Geteuid() != 0 {
		return myself()
	}
	return user{65534}
}
