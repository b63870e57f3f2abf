package limits

import (
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"
)

// hog takes more memory than it may.
func hog() {
	all := make([]byte, 512<<20)
	for i := 0; i < len(all); i += 4096 {
		all[i] = 1
	}
	fmt.Println("survived")
}

func TestMemoryLimitKillsTheHog(t *testing.T) {
	g := group(t, Limits{Memory: 64 << 20, Swap: -1})
	a, b := leaf(t, g, "a"), leaf(t, g, "b")
	bystander, out := forks(t, b, 1)
	until(t, out, "1")
	fd, events := g.OOM()
	if ready(t, fd, events, 0) {
		t.Error("OOM descriptor ready before any kill")
	}
	cmd, out := start(t, a, "hog", os.Args[0])
	if rest, _ := io.ReadAll(out); len(rest) > 0 {
		t.Errorf("the hog said %q", rest)
	}
	cmd.Wait()
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGKILL {
		t.Errorf("the hog ended with %v, want killed", cmd.ProcessState)
	}
	if !ready(t, fd, events, patience) {
		t.Error("OOM descriptor not ready after the kill")
	}
	if err := g.ClearOOM(); err != nil {
		t.Error(err)
	}
	if ready(t, fd, events, 0) {
		t.Error("OOM descriptor still ready after ClearOOM")
	}
	for _, c := range []struct {
		leaf *Leaf
		hit  bool
	}{{a, true}, {b, false}} {
		if n, err := c.leaf.OOMKills(); err != nil || n > 0 != c.hit {
			t.Errorf("leaf %s: %d OOM kills (%v), want some: %v", c.leaf, n, err, c.hit)
		}
	}
	b.Kill()
	bystander.Wait()
}
