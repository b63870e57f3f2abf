package limits

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// fixture makes a directory that looks like the unified tree of a v2 host: files by path below it. Directories stand in
// for groups, so nothing is enforced; what is tested is what we read, decide and write.
func fixture(t *testing.T, files map[string]string) (dir, mountinfo string) {
	t.Helper()
	dir = t.TempDir()
	for path, text := range files {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir, strings.ReplaceAll(unifiedMount, "/sys/fs/cgroup", dir)
}

// TestRefusals_R080 holds the words that a user reads when a limit cannot be enforced.
func TestRefusals_R080(t *testing.T) {
	all := Limits{Memory: 1 << 20, PIDs: 10, CPU: 0.5, Kill: true}
	const noneSeen = "controller %s: this process sees no cgroup file system"
	with := func(l Limits, names ...string) Limits { l.OnMissing = names; return l }
	v2 := map[string]string{
		"cgroup.controllers": "cpuset cpu io\n", "cgroup.subtree_control": "", "aem/cgroup.subtree_control": "", "aem/app/x": "",
	}
	for _, c := range []struct {
		name    string
		files   map[string]string // nil: a host without cgroups
		limits  Limits
		want    string // DIR stands for the fixture
		without []string
	}{
		{"nothing asked, no cgroups", nil, Limits{}, "", nil},
		{"memory, no cgroups", nil, Limits{Memory: 1}, "enforce memory, swap: " + fmt.Sprintf(noneSeen, "memory"), nil},
		{"kill, no cgroups", nil, Limits{Kill: true}, "enforce kill: no group to kill: " + fmt.Sprintf(noneSeen, "freezer"), nil},
		{"all tolerated, no cgroups", nil, with(all, "memory", "pids", "cpu", "kill"), "", []string{"memory", "swap", "pids", "cpu", "kill"}},
		{"memory not handed down", v2, Limits{Memory: 1}, "enforce memory, swap: controller memory: not handed down to any of DIR", nil},
		{"pids tolerated, memory not", v2, with(Limits{Memory: 1, PIDs: 1}, "pids"),
			"enforce memory, swap: controller memory: not handed down to any of DIR", nil},
		{"no file", v2, Limits{CPU: 1}, "enforce cpu: stat DIR/aem/app/cpu.max: no such file or directory", nil},
		{"no file, tolerated", v2, with(Limits{CPU: 1}, "cpu"), "", []string{"cpu"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cgroup, dir, mountinfo := "", "DIR", ""
			if c.files != nil {
				cgroup = "0::/\n"
				dir, mountinfo = fixture(t, c.files)
			}
			tree, err := openTree("aem", cgroup, mountinfo, "")
			if err != nil {
				t.Fatal(err)
			}
			g, err := tree.Group("app", c.limits)
			if c.want != "" {
				var missing *MissingError
				if !errors.As(err, &missing) || strings.ReplaceAll(missing.Error(), dir, "DIR") != c.want {
					t.Fatalf("refused with\n%v, want\n%s", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(g.Without(), c.without) {
				t.Errorf("without %v, want %v", g.Without(), c.without)
			}
		})
	}
}

// TestWritesV2 reads back what is written to a v2 tree.
func TestWritesV2(t *testing.T) {
	dir, mountinfo := fixture(t, map[string]string{
		"s/cgroup.controllers": "cpu memory pids\n", "s/cgroup.subtree_control": "", "s/aem/cgroup.subtree_control": "",
		"s/aem/app/cgroup.subtree_control": "", "s/aem/app/memory.max": "", "s/aem/app/memory.swap.max": "",
		"s/aem/app/pids.max": "", "s/aem/app/cpu.max": "", "s/aem/app/memory.events": "oom_kill 0\n",
	})
	tree, err := openTree("aem", "0::/s\n", mountinfo, "")
	if err != nil {
		t.Fatal(err)
	}
	l := Limits{Memory: 64 << 20, Swap: 1 << 20, PIDs: 12, CPU: 1.5}
	if err := tree.Missing(l); err != nil {
		t.Error(err)
	}
	g, err := tree.Group("app", l)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Remove() // closes the descriptor; plain directories with files in them stay
	for file, want := range map[string]string{
		"memory.max": "67108864", "memory.swap.max": "1048576", "pids.max": "12", "cpu.max": "150000 100000",
	} {
		if got, err := os.ReadFile(filepath.Join(dir, "s/aem/app", file)); err != nil || string(got) != want {
			t.Errorf("%s is %q (%v), want %q", file, got, err, want)
		}
	}
}

// TestSwapWithoutSwap: a kernel that does not account swap is refused only where there is swap to use.
func TestSwapWithoutSwap(t *testing.T) {
	const heading = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
	for _, c := range []struct {
		name, swaps string
		limits      Limits
		refused     bool
	}{
		{"no CONFIG_SWAP", "", Limits{Memory: 1, Swap: -1}, false},
		{"no swap space", heading, Limits{Memory: 1, Swap: -1}, false},
		{"swap space", heading + "/dev/sda2 partition 1 0 -2\n", Limits{Memory: 1, Swap: -1}, true},
		{"swap space, tolerated", heading + "/dev/sda2 partition 1 0 -2\n", Limits{Memory: 1, OnMissing: []string{"swap"}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, mountinfo := fixture(t, map[string]string{
				"cgroup.controllers": "memory\n", "cgroup.subtree_control": "", "aem/cgroup.subtree_control": "",
				"aem/app/cgroup.subtree_control": "", "aem/app/memory.max": "", "aem/app/memory.events": "oom_kill 0\n",
			})
			tree, err := openTree("aem", "0::/\n", mountinfo, c.swaps)
			if err != nil {
				t.Fatal(err)
			}
			g, err := tree.Group("app", c.limits)
			var missing *MissingError
			if refused := errors.As(err, &missing); refused != c.refused || refused && !slices.Equal(missing.Limits, []string{"swap"}) {
				t.Errorf("refused with %v, want refused %v", err, c.refused)
			}
			if g != nil {
				g.Remove()
			}
		})
	}
}

// TestV1NeedsTheUsualMount: a controller mounted elsewhere is refused, before a plain file is made in its usual place.
func TestV1NeedsTheUsualMount(t *testing.T) {
	dir, _ := fixture(t, map[string]string{"odd/aem/app/pids.max": "max\n", "pids/plain": ""})
	mountinfo := fmt.Sprintf("31 23 0:36 / %s/odd rw - cgroup cgroup rw,pids\n", dir)
	tree, err := openTree("aem", "8:pids:/\n", mountinfo, "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = tree.Group("app", Limits{PIDs: 1})
	if want := fmt.Sprintf("enforce pids: pids is mounted at %s/odd only", dir); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("refused with %v, want %s", err, want)
	}
	if _, err := os.Stat(filepath.Join(dir, "pids/aem")); err == nil {
		t.Error("a directory was made in the usual place")
	}
}

func TestNamesAreFileNames(t *testing.T) {
	for _, name := range []string{"", ".", "..", "/", "a/b", "../a", "/a"} {
		if _, err := OpenTree(name); err == nil {
			t.Errorf("tree %q opened", name)
		}
		if _, err := new(Tree).Group(name, Limits{}); err == nil {
			t.Errorf("group %q made", name)
		}
		if _, err := new(Group).Leaf(name); err == nil {
			t.Errorf("leaf %q made", name)
		}
	}
}

// nobody is a supervisor without any right.
func nobody() {
	if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(65534), syscall.Setuid(65534)); err != nil {
		fmt.Println(err)
	}
	tree, err := OpenTree("aem-test-nobody")
	if err != nil {
		fmt.Println(err)
		return
	}
	l := Limits{Memory: 1 << 20, PIDs: 5, CPU: 1, Kill: true}
	fmt.Println("missing:", tree.Missing(l))
	_, err = tree.Group("app", l)
	fmt.Println("group:", err)
	l.OnMissing = []string{"memory", "pids", "cpu", "kill"}
	g, err := tree.Group("app", l)
	if err != nil {
		fmt.Println(err)
		return
	}
	leaf, err := g.Leaf("a")
	fmt.Println("without:", g.Without(), err)
	fmt.Println("leaf:", leaf.Into(), leaf.Join(), leaf.Kill())
	killed, err := tree.Sweep()
	fmt.Println("rest:", killed, err, g.Room(1), g.Remove(), tree.Close())
}

func TestWithoutRootAllIsMissing(t *testing.T) {
	aemtest.Require(t, aemtest.Root, groups)
	lines := strings.Split(strings.TrimSpace(child(t, "nobody", nil)), "\n")
	for i, want := range []string{
		"missing: enforce memory, swap, pids, cpu, kill: controller memory: write to /*: permission denied; controller pids: *",
		"group: enforce memory, swap, pids, cpu, kill: controller memory: write to /*: permission denied; controller pids: *",
		"without: [memory swap pids cpu kill] <nil>",
		"leaf: -1 [] no cgroup on this host",
		"rest: 0 <nil> true <nil> <nil>",
	} {
		head, _, _ := strings.Cut(want, "*")
		if i >= len(lines) || !strings.HasPrefix(lines[i], head) {
			t.Errorf("line %d of\n%s, want %s", i, strings.Join(lines, "\n"), want)
		}
	}
}
