package limits

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestSweepAfterADeadSupervisor(t *testing.T) {
	dead := group(t, Limits{Memory: 64 << 20, PIDs: 20, CPU: 1, Kill: true})
	var children []*exec.Cmd
	for _, slot := range []string{"a", "b"} {
		cmd, out := forks(t, leaf(t, dead, slot), 2)
		until(t, out, "2")
		children = append(children, cmd)
	}
	tree, err := OpenTree(testName())
	if err != nil {
		t.Fatal(err)
	}
	if killed, err := tree.Sweep(); err != nil || killed != 6 {
		t.Errorf("swept %d processes (%v), want 6", killed, err)
	}
	for _, cmd := range children {
		cmd.Wait()
	}
	for _, p := range dead.places {
		if _, err := os.Stat(filepath.Dir(p.dir)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", filepath.Dir(p.dir), err)
		}
	}
	if killed, err := tree.Sweep(); err != nil || killed != 0 {
		t.Errorf("second sweep: %d processes (%v), want none", killed, err)
	}
	for _, l := range dead.leaves {
		l.Remove() // closes descriptors of what is gone
	}
}
