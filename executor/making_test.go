package executor

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// TestSealedInputCannotBeWritten gives a program its input, which it then tries to change.
func TestSealedInputCannotBeWritten(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", 1<<16) // far more than a pipe holds
	fd, err := sealed("text", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "event")
	defer file.Close()
	run := func(script string) (string, error) {
		cmd := exec.Command("/bin/sh", "-c", script)
		cmd.Stdin = file
		out, err := cmd.Output()
		return string(out), err
	}
	for name, script := range map[string]string{
		"write": "printf x >&0", "append": "printf x >>/proc/self/fd/0", "truncate": ": >/proc/self/fd/0",
	} {
		if _, err := run(script); err == nil {
			t.Errorf("it could %s", name)
		}
	}
	if file.Truncate(int64(len(text)+1)) == nil {
		t.Error("it can grow")
	}
	if err := sys.AddSeals(fd, sys.F_SEAL_WRITE); err == nil {
		t.Error("its seals can be changed")
	}
	if got, err := run("exec cat"); got != text || err != nil {
		t.Errorf("the program reads %d bytes, %v, want %d", len(got), err, len(text))
	}
}
