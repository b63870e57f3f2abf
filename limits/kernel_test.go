package limits

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// patience is how long the kernel may take for what it must do.
var patience = aemtest.Slow(20 * time.Second)

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
	"spin":      spin,
	"disk":      readDisk,
	"share":     shareDisk,
	"huge":      huge,
	"grow":      grow,
	"lazy":      lazy,
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
func group(t testing.TB, l Limits) *Group {
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
func ready(t testing.TB, fd int, events uint32, limit time.Duration) bool {
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
func waitEmpty(t testing.TB, l *Leaf) {
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

// hits are how often each limit of a group was reached.
func hits(t *testing.T, g *Group) map[string]int64 {
	t.Helper()
	found := map[string]int64{}
	for _, h := range g.Hits() {
		found[h.Limit] = h.Times
	}
	return found
}
