package limits

import (
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"
	"time"
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
	if len(g.Signals()) == 0 {
		t.Fatal("nothing would tell of a kill")
	}
	told := func(limit time.Duration) bool { return ready(t, g.Signals()[0].FD, g.Signals()[0].Events, limit) }
	if told(0) {
		t.Error("told before any kill")
	}
	cmd, out := start(t, a, "hog", os.Args[0])
	if rest, _ := io.ReadAll(out); len(rest) > 0 {
		t.Errorf("the hog said %q", rest)
	}
	cmd.Wait()
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGKILL {
		t.Errorf("the hog ended with %v, want killed", cmd.ProcessState)
	}
	if !told(patience) {
		t.Error("not told after the kill")
	}
	if err := g.Clear(); err != nil {
		t.Error(err)
	}
	if told(0) {
		t.Error("still told after Clear")
	}
	if n := hits(t, g)["memory"]; n == 0 {
		t.Error("no hit of the limit")
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
