package limits

import (
	"errors"
	"slices"
	"testing"
)

func TestKillEmptiesALeaf(t *testing.T) {
	bomb := `while :; do /bin/sh -c "$0" "$0" & echo forked; done 2>/dev/null`
	for _, c := range []struct {
		name string
		kill func(*Leaf) error
	}{
		{"as the host has it", (*Leaf).Kill},
		{"one by one", func(l *Leaf) error { _, err := killAll(l.dir(l.group.keeper)); return err }},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := group(t, Limits{PIDs: 12, Kill: true})
			l := leaf(t, g, "a")
			cmd, out := start(t, l, "", "/bin/sh", "-c", `/bin/sh -c "$0" "$0" & exec sleep 1000`, bomb) // a bomb may burn out
			until(t, out, "forked")
			if pids, err := l.PIDs(); err != nil || !slices.Contains(pids, cmd.Process.Pid) {
				t.Errorf("leaf has %v (%v), not %d", pids, err, cmd.Process.Pid)
			}
			if _, err := g.Leaf("a"); !errors.Is(err, ErrBusy) {
				t.Errorf("leaf with processes given again: %v", err)
			}
			if err := c.kill(l); err != nil {
				t.Error(err)
			}
			cmd.Wait()
			waitEmpty(t, l)
			if again, err := g.Leaf("a"); err != nil || again != l {
				t.Errorf("empty leaf not given again: %v", err)
			}
		})
	}
}
