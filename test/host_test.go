package test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// programsDir is where this run of the tests has the programs that it builds.
func programsDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("aem-test-programs-%d", os.Getpid()))
}

// buildPrograms builds aem-exec, with the race detector when the tests have it, and the example handlers without: one
// that is started ten thousand times is to be started quickly. It returns their folder.
var buildPrograms = sync.OnceValues(func() (dir string, err error) {
	if err := os.Mkdir(programsDir(), 0o755); err != nil {
		return "", err
	}
	for _, args := range [][]string{
		{fmt.Sprintf("-race=%v", raceEnabled), "../cmd/aem-exec"},
		{"../examples/handlers/..."},
	} {
		if dir, err = aemtest.GoPrograms(programsDir(), args...); err != nil {
			return "", err
		}
	}
	return dir, nil
})

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
