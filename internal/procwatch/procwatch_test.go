package procwatch

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/aem-exec/aem-exec/internal/aemtest"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "many-threads" {
		manyThreads(os.Args[2])
	}
	aemtest.NoLeaks(m)
}

var patience = aemtest.Slow(20 * time.Second)

// ears is a watcher with what it told.
type ears struct {
	*Watcher
	t         *testing.T
	connector bool

	mu       sync.Mutex
	exits    []Exit
	troubles []string
}

// watcher listens to the connector, or does without.
func watcher(t *testing.T, connector bool) *ears {
	t.Helper()
	e := &ears{t: t, connector: connector}
	e.Watcher = prepare(func(exits []Exit) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.exits = append(e.exits, exits...)
	}, func(_ uint64, err error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.troubles = append(e.troubles, fmt.Sprint(err))
	})
	how := connect
	if !connector {
		how = func() (int, error) { return 0, errors.New("the test has none") }
	}
	if err := e.start(how); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	if err := e.Connected(); connector && err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *ears) until(what string, ok func() bool) {
	e.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		e.mu.Lock()
		done := ok()
		e.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(deadline) {
			e.t.Fatalf("not %s: %+v, %q", what, e.exits, e.troubles)
		}
	}
}

// next waits for one exit and takes it.
func (e *ears) next() Exit {
	e.t.Helper()
	e.until("told of an exit", func() bool { return len(e.exits) > 0 })
	e.mu.Lock()
	defer e.mu.Unlock()
	exit := e.exits[0]
	e.exits = e.exits[1:]
	return exit
}

// tooLate reports whether an exit has no how, because the watcher has pidfds alone and the parent had waited for the
// process before it could look. Since Linux 6.15 a pidfd tells all the same.
func (e *ears) tooLate(got Exit) bool {
	return !e.connector && !aemtest.Linux{Major: 6, Minor: 15}.Runs() &&
		got.How == Unknown && got.Code == -1 && got.Signal == 0 && !got.Core
}

// sees waits until the watcher knows a process.
func (e *ears) sees(pid int) {
	e.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		known := make(chan bool)
		e.Ask(func() { known <- e.processes[pid] != nil })
		if <-known {
			return
		}
		if time.Now().After(deadline) {
			e.t.Fatalf("process %d is not seen", pid)
		}
	}
}

// command is a child that lives until its standard input is closed, then does what a line of shell says.
type command struct {
	*exec.Cmd
	end func()
}

func start(t *testing.T, name string, args ...string) command {
	t.Helper()
	c := exec.Command(name, args...)
	in, err := c.StdinPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	for comm := ""; comm != filepath.Base(name); { // the kernel gives it its name a little after its descriptors are closed
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", c.Process.Pid))
		if comm = strings.TrimSpace(string(text)); err != nil {
			t.Fatal(err)
		}
	}
	end := sync.OnceFunc(func() { in.Close(); c.Wait() })
	t.Cleanup(end)
	return command{c, end}
}

// script is a shell at path that has begun to run its script: by then the connector has told of its exec, which the
// kernel does a little after a program has its name.
func script(t *testing.T, path, last string) command {
	t.Helper()
	up := t.TempDir() + "/up"
	c := start(t, path, "-c", ": >"+up+"; read x; "+last)
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(up); err == nil {
			return c
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func shell(t *testing.T, last string) command { return start(t, "sh", "-c", "read x; "+last) }

// each runs a test with the connector, which needs root, and with pidfds alone.
func each(t *testing.T, f func(t *testing.T, e *ears)) {
	for name, connector := range map[string]bool{"connector": true, "pidfd": false} {
		t.Run(name, func(t *testing.T) {
			if connector {
				aemtest.Require(t, aemtest.Root)
			}
			f(t, watcher(t, connector))
		})
	}
}

func TestEndOfAProcess_R224(t *testing.T) {
	each(t, func(t *testing.T, e *ears) {
		for view, c := range []struct {
			last string
			want Exit
		}{
			{"exit 0", Exit{How: Exited}},
			{"exit 7", Exit{How: Exited, Code: 7}},
			{"kill -TERM $$", Exit{How: Signaled, Code: -1, Signal: syscall.SIGTERM}},
			{"ulimit -c unlimited; cd " + t.TempDir() + "; kill -SEGV $$", Exit{How: Signaled, Code: -1, Signal: syscall.SIGSEGV}},
		} {
			p := shell(t, c.last)
			e.Watch(uint64(view), Spec{PID: p.Process.Pid})
			e.Wait()
			p.end()
			c.want.View, c.want.PID, c.want.Comm = uint64(view), p.Process.Pid, "sh"
			got := e.next()
			if e.tooLate(got) {
				c.want.How, c.want.Code, c.want.Signal = got.How, got.Code, got.Signal
			} else if filepath.Base(got.Exe) == "" || c.want.Signal == syscall.SIGSEGV && got.Core != p.ProcessState.Sys().(syscall.WaitStatus).CoreDump() {
				t.Errorf("%s: %+v", c.last, got)
			}
			if got.Exe, got.Core = "", false; got != c.want {
				t.Errorf("%s:\n got %+v\nwant %+v", c.last, got, c.want)
			}
		}
	})
}

// TestEndOfAStrangersChild_R224: the process is no child of ours, its parent does not wait for it for a while, and with
// the connector how it ended is told before that.
func TestEndOfAStrangersChild_R224(t *testing.T) {
	each(t, func(t *testing.T, e *ears) {
		parent := exec.Command("sh", "-c", "(read x; exit 9) <&3 & echo $!; read y; wait")
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		parent.ExtraFiles = []*os.File{r}
		in, _ := parent.StdinPipe()
		out, _ := parent.StdoutPipe()
		if err := parent.Start(); err != nil {
			t.Fatal(err)
		}
		defer parent.Wait()
		defer in.Close()
		line, err := bufio.NewReader(out).ReadString('\n')
		pid, perr := strconv.Atoi(strings.TrimSpace(line))
		if err != nil || perr != nil {
			t.Fatal(line, err, perr)
		}
		e.Watch(1, Spec{PID: pid})
		e.Wait()
		began := time.Now()
		w.Close()
		if got := e.next(); got.How != Exited || got.Code != 9 || got.PID != pid || time.Since(began) > reapWait {
			t.Errorf("after %v: %+v", time.Since(began), got)
		}
	})
}

// TestOfAnotherUserWithoutPermission_R224: where neither the connector nor /proc tells how, it is told as unknown, or by
// the pidfd once the parent has waited.
func TestOfAnotherUserWithoutPermission_R224(t *testing.T) {
	e := watcher(t, false)
	p := shell(t, "exit 7")
	e.Ask(func() { e.tracer = false })
	e.Watch(1, Spec{PID: 1 << 30})
	if got := e.next(); got.How != Unknown || got.Code != -1 {
		t.Errorf("of no process: %+v", got)
	}
	e.Ask(func() { e.views = map[uint64]*view{} })
	e.Watch(2, Spec{PID: p.Process.Pid})
	e.Wait()
	p.end()
	if got := e.next(); !e.tooLate(got) && (got.How != Exited || got.Code != 7) {
		t.Errorf("%+v", got)
	}
}

// manyThreads is a program whose first thread ends long before its last, and one whose threads end with it.
func manyThreads(how string) {
	if how == "first" { // the runtime loses a thread and what that had: nothing here may need it
		running := make(chan struct{})
		go func() {
			running <- struct{}{}
			var b [1]byte
			syscall.RawSyscall(syscall.SYS_READ, 0, uintptr(unsafe.Pointer(&b)), 1)
			syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 3, 0, 0)
		}()
		<-running
		syscall.RawSyscall(syscall.SYS_EXIT, 0, 0, 0) // of this thread
	}
	for range 20 {
		go func() {
			for {
				time.Sleep(time.Microsecond)
			}
		}()
	}
	os.Stdin.Read(make([]byte, 1))
	os.Exit(5)
}

func TestEndOfAllThreadsIsTheEnd_R224(t *testing.T) {
	each(t, func(t *testing.T, e *ears) {
		for view, c := range []struct {
			how  string
			code int
		}{{"last", 5}, {"first", 3}} {
			p := start(t, "/proc/self/exe", "many-threads", c.how)
			e.Watch(uint64(view), Spec{PID: p.Process.Pid})
			e.Wait()
			time.Sleep(20 * time.Millisecond) // time for the first thread to end
			e.mu.Lock()
			early := len(e.exits)
			e.mu.Unlock()
			p.end()
			if got := e.next(); early > 0 || !e.tooLate(got) && (got.How != Exited || got.Code != c.code) {
				t.Errorf("%s: %d before its end, %+v", c.how, early, got)
			}
		}
	})
}

func TestPIDFileIsReadAgain_R224(t *testing.T) {
	each(t, func(t *testing.T, e *ears) {
		file := filepath.Join(t.TempDir(), "pid")
		e.Watch(1, Spec{PIDFile: file})
		e.Wait()
		for code := range 2 {
			p := shell(t, "exit "+strconv.Itoa(code))
			if err := os.WriteFile(file, []byte(strconv.Itoa(p.Process.Pid)+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			e.sees(p.Process.Pid)
			p.end()
			if got := e.next(); got.PID != p.Process.Pid || !e.tooLate(got) && (got.Code != code || got.How != Exited) {
				t.Errorf("%+v", got)
			}
		}
	})
}

// TestPIDFileOfAnotherProcess_R224: a process that began after the file was written only has the number again.
func TestPIDFileOfAnotherProcess_R224(t *testing.T) {
	p := shell(t, "exit 1")
	file := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(file, []byte(strconv.Itoa(p.Process.Pid)), 0o600); err != nil {
		t.Fatal(err)
	}
	if pid, err := readPIDFile(file); err != nil || pid != p.Process.Pid {
		t.Errorf("%d, %v", pid, err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(file, old, old); err != nil {
		t.Fatal(err)
	}
	e := watcher(t, false)
	e.Watch(1, Spec{PIDFile: file})
	e.until("told", func() bool { return len(e.troubles) == 1 && strings.Contains(e.troubles[0], "it is another one") })
	if err := os.Chtimes(file, time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	e.until("mended", func() bool { return len(e.troubles) == 2 && e.troubles[1] == "<nil>" })
}

// programAt is a copy of a program, so that nobody else runs it.
func programAt(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "own")
	text, err := os.ReadFile("/bin/sh")
	if err == nil {
		err = os.WriteFile(path, text, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEveryProcessOfAProgram_R224(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	e := watcher(t, true)
	path := programAt(t)
	before := start(t, path, "-c", "read x; exit 1")
	e.Watch(1, Spec{Exe: path})
	e.Watch(2, Spec{Exe: filepath.Dir(path) + "/o*"})
	e.Wait()
	other := shell(t, "exit 2")
	after := start(t, path, "-c", "read x; (sleep 0.2; exit 4); exit 3") // the one in brackets is a process of the same program, and lives long enough to be seen
	e.sees(after.Process.Pid)
	other.end()
	before.end()
	after.end()
	got := map[uint64]map[int]int{1: {}, 2: {}}
	for range 6 {
		exit := e.next()
		got[exit.View][exit.Code]++
		if exit.Exe != path || exit.How != Exited {
			t.Errorf("%+v", exit)
		}
	}
	for view, codes := range got {
		if codes[1] != 1 || codes[3] != 1 || codes[4] != 1 {
			t.Errorf("view %d: %v", view, codes)
		}
	}
	e.Unwatch(1)
	e.Wait()
	last := start(t, path, "-c", "read x; exec true")
	again := start(t, path, "-c", "read x; exit 6")
	e.sees(last.Process.Pid)
	e.sees(again.Process.Pid)
	last.end()
	again.end()
	if exit := e.next(); exit.View != 2 || exit.Code != 6 { // what it executes itself is another program
		t.Errorf("%+v", exit)
	}
}

func TestEveryProcessOfACgroup_R224(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	dir := ""
	for _, mount := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		if _, err := os.Stat(mount + "/cgroup.controllers"); err == nil {
			dir = fmt.Sprintf("%s/aem-procwatch-test-%d", mount, os.Getpid())
			break
		}
	}
	if dir == "" {
		t.Fatal("there is no cgroup v2")
	}
	if err := os.MkdirAll(dir+"/below", 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, d := range []string{dir + "/below", dir} {
			if err := os.Remove(d); err != nil {
				t.Error(err)
			}
		}
	})
	e := watcher(t, true)
	e.Watch(1, Spec{Cgroup: "/" + filepath.Base(dir)})
	e.Wait()
	outside := shell(t, "exit 2")
	inside := start(t, "sh", "-c", "echo $$ > "+dir+"/below/cgroup.procs; exec sh -c 'read x; exit 5'")
	e.sees(inside.Process.Pid)
	outside.end()
	inside.end()
	if got := e.next(); got.PID != inside.Process.Pid || got.Code != 5 || got.How != Exited {
		t.Errorf("%+v", got)
	}
}

// TestLostEventsAreLookedFor_R093: what the connector had no room for is found in /proc, and told.
func TestLostEventsAreLookedFor_R093_R224(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	e := watcher(t, true)
	path := programAt(t)
	seen := start(t, path, "-c", "read x; exit 1")
	e.Watch(1, Spec{Exe: path})
	e.Watch(2, Spec{PID: seen.Process.Pid})
	e.Wait()
	began, ended := make(chan struct{}), make(chan struct{})
	e.Ask(func() { // the goroutine hears nothing meanwhile
		close(began)
		<-ended
		e.lost()
	})
	<-began
	new := script(t, path, "exit 3")
	seen.end()
	close(ended)
	told := map[How][]uint64{}
	for range 3 {
		exit := e.next()
		told[exit.How] = append(told[exit.How], exit.View)
	}
	if len(told[Unknown]) != 2 || len(told[Lost]) != 1 || told[Lost][0] != 1 {
		t.Errorf("told %v", told)
	}
	new.end()
	if got := e.next(); got.Code != 3 || got.View != 1 {
		t.Errorf("what began meanwhile: %+v", got)
	}
}

// TestProcessKnownBeforeItsExecIsHeardOf: that it began to run its program is heard when it is over and nobody can read any
// more what it was.
func TestProcessKnownBeforeItsExecIsHeardOf_R224(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	e := watcher(t, true)
	path := programAt(t)
	e.Watch(1, Spec{Exe: path})
	e.Wait()
	began, started, seen, ended := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})
	e.Ask(func() {
		close(began)
		<-started
		e.scan(e.views[1])
		close(seen)
		<-ended
	})
	<-began
	p := script(t, path, "exit 3")
	close(started)
	<-seen
	p.end()
	close(ended)
	if got := e.next(); got.Code != 3 || got.View != 1 || got.Exe != path {
		t.Errorf("%+v", got)
	}
}

func TestAbsentProcess_R224(t *testing.T) {
	each(t, func(t *testing.T, e *ears) {
		e.Watch(1, Spec{PID: 1<<22 + 1})
		if got := e.next(); got.How != Unknown || got.PID != 1<<22+1 {
			t.Errorf("%+v", got)
		}
	})
}
