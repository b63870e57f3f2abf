package limits

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aem-exec/aem-exec/internal/aemtest"
)

func TestPIDsLimitStopsForks(t *testing.T) {
	const limit = 8
	g := group(t, Limits{PIDs: limit})
	a, b := leaf(t, g, "a"), leaf(t, g, "b")
	if !g.Room(limit) || g.Room(limit+1) {
		t.Errorf("an empty group has room for %d: %v, for one more: %v", limit, g.Room(limit), g.Room(limit+1))
	}
	bystander, out := forks(t, b, 1)
	until(t, out, "1")
	if n, err := g.PIDs(); err != nil || n != 2 || !g.Room(limit-2) || g.Room(limit-1) {
		t.Errorf("%d pids (%v) of %d, room for the rest: %v", n, err, limit, g.Room(limit-2))
	}
	cmd, out := forks(t, a, 2*limit)
	rest, _ := io.ReadAll(out) // ends when the shell cannot fork
	if lines := strings.Fields(string(rest)); len(lines) != limit-3 {
		t.Errorf("%d forks beside 3 of %d", len(lines), limit)
	}
	cmd.Wait()
	if n, err := a.PIDsMaxHits(); err != nil || n == 0 {
		t.Errorf("leaf %s: %d refused forks (%v)", a, n, err)
	}
	told := 0
	for _, s := range g.Signals() {
		if ready(t, s.FD, s.Events, 0) {
			told++
		}
	}
	shared := g.limited["pids"].unified && !pidsInLeaves(g.limited["pids"])
	if n := hits(t, g)["pids"]; n == 0 || told == 0 && shared || !shared != g.Untold() {
		t.Errorf("%d hits of the limit, told by %d signals, to be looked for %v", n, told, g.Untold())
	}
	if n, err := b.PIDsMaxHits(); err != nil || n > 0 != shared {
		t.Errorf("leaf %s: %d refused forks (%v)", b, n, err)
	}
	b.Kill()
	bystander.Wait()
	a.Kill()
	waitEmpty(t, a)
	before := hits(t, g)["pids"]
	if err := a.Remove(); err != nil {
		t.Error(err)
	}
	if after := hits(t, g)["pids"]; after != before {
		t.Errorf("%d hits before a leaf was removed, %d after", before, after)
	}
}

func TestCPUQuotaIsSet(t *testing.T) {
	g := group(t, Limits{CPU: 0.25})
	p := g.limited["cpu"]
	file, want := "cpu.cfs_quota_us", "25000"
	if p.unified {
		file, want = "cpu.max", "25000 100000"
	}
	text, err := os.ReadFile(filepath.Join(p.dir, file))
	if got := strings.TrimSpace(string(text)); err != nil || got != want {
		t.Errorf("%s is %q (%v), want %q", file, got, err, want)
	}
	l := leaf(t, g, "a")
	cmd, out := forks(t, l, 1)
	until(t, out, "1")
	own, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", cmd.Process.Pid))
	inside := "/" + testName() + "/app"
	if p.unified {
		inside += "/a"
	}
	if err != nil || !strings.Contains(string(own), inside+"\n") {
		t.Errorf("the child is in\n%s, want %s", own, inside)
	}
	l.Kill()
	cmd.Wait()
}

// BenchmarkGroup is the price of an app at start, BenchmarkLeaf that of a slot the first time.
func BenchmarkGroup(b *testing.B) {
	aemtest.Require(b, aemtest.Root, groups)
	tree, err := OpenTree(testName())
	if err != nil {
		b.Fatal(err)
	}
	defer tree.Close()
	for b.Loop() {
		g, err := tree.Group("app", Limits{Memory: 64 << 20, PIDs: 20, CPU: 1})
		if err = errors.Join(err, g.Remove()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLeaf(b *testing.B) {
	g := group(b, Limits{Memory: 64 << 20, PIDs: 20, CPU: 1})
	for b.Loop() {
		l, err := g.Leaf("a")
		if err = errors.Join(err, l.Remove()); err != nil {
			b.Fatal(err)
		}
	}
}
