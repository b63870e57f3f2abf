package test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// TestExitsExample_R224 runs configs/exits.toml: a process by the file with its pid, and every process of a program.
func TestExitsExample_R224(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("../configs/exits.toml")
	if err != nil {
		t.Fatal(err)
	}
	s := prepare(t, myself(), "")
	s.write("aem.toml", strings.NewReplacer("../", "", "/usr/bin/sleep", sleep).Replace(string(example)))
	s.run()
	c := exec.Command(sleep, "2.5") // longer than it takes to read the file again
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	pid := itoa(c.Process.Pid)
	s.write("run/service.pid", pid+"\n")
	c.Wait()
	for _, event := range []string{"event=sleepers", "event=service"} {
		s.log.await(t, "sleep ("+pid+") ended: exit 0 ", event)
	}
	s.stop()
}
