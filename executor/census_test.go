package executor

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/source"
)

// child starts a program in a session of its own, as every handler has.
func child(t *testing.T, argv ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { endOf(cmd) })
	return cmd
}

// endOf asks a process to end, and returns the signal that ended it: SIGKILL if that was sent before.
func endOf(cmd *exec.Cmd) syscall.Signal {
	if cmd.ProcessState == nil {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	}
	return cmd.ProcessState.Sys().(syscall.WaitStatus).Signal()
}

func openCensus(t *testing.T, path string) (c *Census, killed int) {
	t.Helper()
	c, killed, err := OpenCensus(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.file.Close() })
	return c, killed
}

func enter(t *testing.T, c *Census, pid int) (place int) {
	t.Helper()
	place, err := c.enter(pid)
	if err != nil {
		t.Fatal(err)
	}
	return place
}

// TestCensusKillsExactlyWhatIsLeft has a supervisor that was killed: of what its list named, the next one ends
// what still runs, and nothing else.
func TestCensusKillsExactlyWhatIsLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "processes")
	c, killed := openCensus(t, path)
	if killed != 0 {
		t.Fatalf("%d were killed by an empty list", killed)
	}
	var left, gone []*exec.Cmd
	for range 2 {
		left, gone = append(left, child(t, "/bin/sleep", "1000")), append(gone, child(t, "/bin/sleep", "1000"))
	}
	stranger := child(t, "/bin/sleep", "1000")
	places := []int{enter(t, c, gone[0].Process.Pid), enter(t, c, left[0].Process.Pid), enter(t, c, gone[1].Process.Pid)}
	for _, place := range []int{places[0], places[2]} {
		if err := c.leave(place); err != nil {
			t.Fatal(err)
		}
	}
	if place := enter(t, c, left[1].Process.Pid); place != places[2] {
		t.Errorf("place %d is used, and %d is free", place, places[2])
	}

	next, killed := openCensus(t, path)
	if killed != len(left) {
		t.Errorf("%d were killed, want %d", killed, len(left))
	}
	for i, cmd := range left {
		if got := endOf(cmd); got != syscall.SIGKILL {
			t.Errorf("process %d of the list ended by %v", i, got)
		}
	}
	for _, cmd := range append(gone, stranger) {
		if got := endOf(cmd); got != syscall.SIGTERM {
			t.Errorf("a process that is not on the list ended by %v", got)
		}
	}
	if err := next.Close(); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(path); len(text) != 0 || err != nil {
		t.Errorf("a closed list says %q, %v", text, err)
	}
}

// TestCensusKillsTheGroup has a process that is left with a child of its own.
func TestCensusKillsTheGroup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "processes")
	c, _ := openCensus(t, path)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	parent := exec.Command("/bin/sh", "-c", "sleep 1000 & echo $!; wait")
	parent.Stdout, parent.SysProcAttr = write, &syscall.SysProcAttr{Setsid: true}
	err = parent.Start()
	write.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { endOf(parent) })
	var pid int
	if _, err := fmt.Fscan(read, &pid); err != nil {
		t.Fatal(err)
	}
	pidfd, err := sys.PidfdOpen(pid)
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close(pidfd)
	poller, err := source.NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer poller.Close()
	ended := false
	if _, err := poller.Add(pidfd, sys.EPOLLIN, source.WatcherFunc(func(uint32) { ended = true })); err != nil {
		t.Fatal(err)
	}
	enter(t, c, parent.Process.Pid)
	if _, killed := openCensus(t, path); killed != 1 {
		t.Errorf("%d were killed", killed)
	}
	for deadline := time.Now().Add(patience); !ended; {
		if err := poller.Wait(time.Until(deadline)); err != nil || time.Now().After(deadline) {
			t.Fatalf("the child lives on: %v", err)
		}
	}
}

// TestCensusSpares has lists that name a living process, and not for certain.
func TestCensusSpares(t *testing.T) {
	boot, err := os.ReadFile(bootIDFile)
	if err != nil {
		t.Fatal(err)
	}
	here := strings.TrimSpace(string(boot))
	elsewhere := "11111111-2222-3333-4444-555555555555"
	for _, c := range []struct {
		name string
		list func(pid, started string) string
		ends syscall.Signal
	}{
		{"itself", func(pid, started string) string { return here + "\n" + pid + " " + started + "\n" }, syscall.SIGKILL},
		{"itself, without the last newline", func(pid, started string) string { return here + "\n" + pid + " " + started }, syscall.SIGKILL},
		{"itself, after garbage", func(pid, started string) string { return here + "\n\x00\xff\n\n9e9 1\n" + pid + " " + started + "\n" }, syscall.SIGKILL},
		{"a number used again", func(pid, started string) string { return here + "\n" + pid + " " + started + "0\n" }, syscall.SIGTERM},
		{"torn", func(pid, started string) string { return here + "\n" + pid + " " + started[:len(started)-1] }, syscall.SIGTERM},
		{"no start time", func(pid, _ string) string { return here + "\n" + pid + "\n" + pid + " \n" }, syscall.SIGTERM},
		{"a group", func(pid, started string) string { return here + "\n-" + pid + " " + started + "\n" }, syscall.SIGTERM},
		{"another boot", func(pid, started string) string { return elsewhere + "\n" + pid + " " + started + "\n" }, syscall.SIGTERM},
		{"no boot", func(pid, started string) string { return "\n" + pid + " " + started + "\n" }, syscall.SIGTERM},
		{"one line", func(pid, started string) string { return here + " " + pid + " " + started }, syscall.SIGTERM},
		{"nothing", func(string, string) string { return "" }, syscall.SIGTERM},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "processes")
			cmd := child(t, "/bin/sleep", "1000")
			started, err := startTime(cmd.Process.Pid)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(c.list(strconv.Itoa(cmd.Process.Pid), started)), 0o600); err != nil {
				t.Fatal(err)
			}
			_, killed := openCensus(t, path)
			if got := endOf(cmd); got != c.ends || (killed == 1) != (c.ends == syscall.SIGKILL) {
				t.Errorf("it ended by %v, %d were killed", got, killed)
			}
		})
	}
}

// TestStartTimeOfANameWithSpaces: the name of a program stands between parentheses in its stat, and may hold them.
func TestStartTimeOfANameWithSpaces(t *testing.T) {
	plain, odd := filepath.Join(t.TempDir(), "plain"), filepath.Join(t.TempDir(), "a) 1 (b 2")
	for _, path := range []string{plain, odd} {
		if err := os.Symlink("/bin/sleep", path); err != nil {
			t.Fatal(err)
		}
	}
	before, err := startTime(child(t, plain, "1000").Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	after, err := startTime(child(t, odd, "1000").Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	a, aerr := strconv.Atoi(before)
	b, berr := strconv.Atoi(after)
	if aerr != nil || berr != nil || b < a || b > a+100*100 {
		t.Errorf("started at %q, then at %q", before, after)
	}
}

func TestCensusEntersOnlyWhatLives(t *testing.T) {
	c, _ := openCensus(t, filepath.Join(t.TempDir(), "processes"))
	cmd := child(t, "/bin/sleep", "1000")
	endOf(cmd)
	if place, err := c.enter(cmd.Process.Pid); err == nil {
		t.Errorf("a process that is gone has place %d", place)
	}
}

func FuzzListed(f *testing.F) {
	boot := []byte("b\n")
	for _, list := range []string{"", "b", "b\n", "b\n12 34\n", "b   \n12 34   \n     \n56 78\n", "c\n12 34\n", "b\n-1 5\n1 5\n0 5\n", "b\n 12 34 56"} {
		f.Add([]byte(list))
	}
	f.Fuzz(func(t *testing.T, list []byte) {
		head, _, _ := bytes.Cut(list, []byte{'\n'})
		for pid, started := range listed(list, boot) {
			if pid <= 1 || string(bytes.TrimSpace(head)) != "b" {
				t.Fatalf("%q names process %d", list, pid)
			}
			line := fmt.Sprintf("%d %s", pid, started)
			if again := fmt.Sprintf("%-*s\n", placeBytes-1, line); started != "" && !slices.Contains(pids([]byte("b\n"+again), boot), pid) {
				t.Fatalf("%q is not read back", again)
			}
		}
	})
}

func pids(list, boot []byte) (all []int) {
	for pid := range listed(list, boot) {
		all = append(all, pid)
	}
	return all
}
