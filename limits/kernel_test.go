package limits

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// patience is how long the kernel may take for what it must do.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	if part := parts[os.Getenv("AEM_LIMITS_PART")]; part != nil {
		part()
		os.Exit(0)
	}
	aemtest.NoLeaks(m)
}

// parts are what the test binary plays when it is a child.
var parts = map[string]func(){
	"hog":       hog,
	"nobody":    nobody,
	"delegated": delegated,
}

// groups is the feature of being able to make groups at all.
var groups = aemtest.Feature{Name: "cgroups with memory, pids, cpu and kill", Probe: func() error {
	tree, err := OpenTree(testName())
	if err != nil {
		return err
	}
	return tree.Missing(Limits{Memory: 1, PIDs: 1, CPU: 1, Kill: true})
}}

func testName() string { return "aem-test-" + strconv.Itoa(os.Getpid()) }

// group makes a group in a tree of the test's own and sees to it that both are gone afterwards.
func group(t *testing.T, l Limits) *Group {
	t.Helper()
	aemtest.Require(t, aemtest.Root, groups)
	tree, err := OpenTree(testName())
	if err != nil {
		t.Fatal(err)
	}
	g, err := tree.Group("app", l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, l := range g.leaves {
			l.Kill()
			waitEmpty(t, l)
		}
		if err := errors.Join(g.Remove(), tree.Close()); err != nil {
			t.Error(err)
		}
		for _, h := range tree.hierarchies {
			if _, err := os.Stat(filepath.Join(h.home, tree.name)); err == nil {
				t.Errorf("%s left in %s", tree.name, h.home)
			}
		}
	})
	return g
}

func leaf(t *testing.T, g *Group, slot string) *Leaf {
	t.Helper()
	l, err := g.Leaf(slot)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// start runs a program in a leaf: born there on v2, joined by `tasks` before its exec on v1.
func start(t *testing.T, l *Leaf, part string, argv ...string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	script := ""
	var files []*os.File
	for i, fd := range l.Join() {
		script += fmt.Sprintf("echo 0 >&%d; exec %[1]d>&-; ", 3+i)
		own, err := syscall.Dup(fd)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, os.NewFile(uintptr(own), "tasks"))
	}
	cmd := exec.Command("/bin/sh", append([]string{"-c", script + `exec "$@"`, "sh"}, argv...)...)
	cmd.Env = append(os.Environ(), "AEM_LIMITS_PART="+part)
	cmd.ExtraFiles = files
	if l.Into() >= 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: l.Into()}
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	for _, f := range files {
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewReader(out)
}

// forks starts a shell in the leaf that forks n sleeping children, says how many it has after each, and waits.
func forks(t *testing.T, l *Leaf, n int) (*exec.Cmd, *bufio.Reader) {
	return start(t, l, "", "/bin/sh", "-c",
		fmt.Sprintf(`i=0; while [ $i -lt %d ]; do sleep 1000 >/dev/null & i=$((i+1)); echo $i; done; wait`, n))
}

// until reads the child's output up to the line want.
func until(t *testing.T, out *bufio.Reader, want string) {
	t.Helper()
	for {
		line, err := out.ReadString('\n')
		if strings.TrimSpace(line) == want {
			return
		}
		if err != nil {
			t.Fatalf("output ended before %q: %v", want, err)
		}
	}
}

// ready waits for events on fd, at most for limit.
func ready(t *testing.T, fd int, events uint32, limit time.Duration) bool {
	t.Helper()
	epoll, err := sys.EpollCreate()
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(epoll)
	if err := sys.EpollAdd(epoll, fd, events, 0); err != nil {
		t.Fatal(err)
	}
	var got [1]sys.EpollEvent
	n, err := sys.EpollWait(epoll, got[:], limit)
	if err != nil {
		t.Fatal(err)
	}
	return n > 0
}

// waitEmpty waits for the leaf's last process; cgroup.events can be polled for that (Linux cgroup-v2.rst).
func waitEmpty(t *testing.T, l *Leaf) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		if l.Into() < 0 {
			runtime.Gosched() // v1 only: nothing to wait on
		} else if fd, err := descriptor(filepath.Join(l.dir(l.group.keeper), "cgroup.events"), syscall.O_RDONLY); err == nil {
			var text [64]byte
			syscall.Pread(fd, text[:], 0)
			if empty, _ := l.Empty(); !empty {
				ready(t, fd, sys.EPOLLPRI, patience)
			}
			syscall.Close(fd)
		}
		if empty, err := l.Empty(); err != nil || empty {
			if err != nil {
				t.Error(err)
			}
			return
		}
	}
	pids, _ := l.PIDs()
	t.Errorf("leaf %s still has %v", l, pids)
}

func hog() {
	signal.Ignore(syscall.SIGTERM)
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
	_, shared := os.Stat(filepath.Join(b.dir(g.limited["pids"]), "pids.events.local"))
	if n, err := b.PIDsMaxHits(); err != nil || n > 0 != (shared == nil && g.limited["pids"].unified) {
		t.Errorf("leaf %s: %d refused forks (%v)", b, n, err)
	}
	b.Kill()
	bystander.Wait()
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
			cmd, out := start(t, l, "", "/bin/sh", "-c", bomb, bomb)
			until(t, out, "forked")
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

// child runs a part of the test binary and gives what it says.
func child(t *testing.T, part string, attr *syscall.SysProcAttr) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "AEM_LIMITS_PART="+part)
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", part, err, out)
	}
	return string(out)
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

// delegated is a supervisor that starts in a group handed to it, as systemd does with Delegate=yes.
func delegated() {
	show := func(step string, err error) {
		own, _ := os.ReadFile("/proc/self/cgroup")
		lines := strings.Split(strings.TrimSpace(string(own)), "\n")
		fmt.Println(step, filepath.Base(lines[len(lines)-1]), err) // the unified tree comes last
	}
	tree, err := OpenTree("aem")
	show("open", err)
	h := tree.hierarchies[0]
	err = makeGroup(filepath.Join(h.home, "aem"))
	show("make", err)
	show("delegate", tree.delegate(h, h.controllers[0]))
	again, err := OpenTree("aem")
	show("again", err)
	fmt.Println(again.hierarchies[0].home == h.home)
	show("close", tree.Close())
}

var unifiedController = aemtest.Feature{Name: "a controller in the unified tree", Probe: func() error {
	tree, err := OpenTree(testName())
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(tree.hierarchies, func(h *hierarchy) bool { return h.unified && len(h.controllers) > 0 }) {
		return errors.New("there is none")
	}
	return nil
}}

func TestSupervisorMovesIntoItsOwnLeaf(t *testing.T) {
	aemtest.Require(t, aemtest.Root, unifiedController)
	tree, err := OpenTree(testName())
	if err != nil {
		t.Fatal(err)
	}
	h := tree.hierarchies[0]
	before, err := os.ReadFile(filepath.Join(h.home, "cgroup.subtree_control"))
	if err = errors.Join(err, tree.moveOut(h), enable(h.home, h.controllers[0])); err != nil {
		t.Fatal(err)
	}
	defer tree.Close() // this test may itself have been moved
	if !slices.Contains(strings.Fields(string(before)), h.controllers[0]) {
		defer write(h.home, "cgroup.subtree_control", "-"+h.controllers[0])
	}
	home := filepath.Join(h.home, testName())
	if err := os.Mkdir(home, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(home)
	fd, err := descriptor(home, syscall.O_RDONLY)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	got := child(t, "delegated", &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: fd})
	own := filepath.Base(home)
	want := fmt.Sprintf("open %s <nil>\nmake %[1]s <nil>\ndelegate aem-supervisor <nil>\nagain aem-supervisor <nil>\ntrue\nclose %[1]s <nil>\n", own)
	if got != want {
		t.Errorf("moved\n%swant\n%s", got, want)
	}
}
