package sys

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// started is a shell script's process that leads a group of its own, and its pidfd.
func started(t *testing.T, script string) (*exec.Cmd, int) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pidfd, err := PidfdOpen(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Close(pidfd) })
	return cmd, pidfd
}

// TestPidfdParent asks a zombie for its parent, both ways, and a process that is gone.
func TestPidfdParent(t *testing.T) {
	cmd, pidfd := started(t, "exit 3")
	pid := cmd.Process.Pid
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, ok, err := PeekExit(pidfd); ok || err != nil || time.Now().After(deadline) {
			break
		}
	}
	if !PidfdEnded(pidfd) {
		t.Error("a zombie has not ended")
	}
	for name, parent := range map[string]func(int, int) (int, error){"by pidfd": PidfdParent, "by number": parentByNumber} {
		if got, err := parent(pidfd, pid); got != os.Getpid() || err != nil {
			t.Errorf("%s: %d, %v", name, got, err)
		}
	}
	cmd.Wait() //nolint:errcheck // it exits with 3
	for name, parent := range map[string]func(int, int) (int, error){"by pidfd": PidfdParent, "by number": parentByNumber} {
		if got, err := parent(pidfd, pid); err == nil && got != 0 {
			t.Errorf("%s: %d of a process that is gone", name, got)
		}
	}
	// The number of another process does not tell of this one.
	if got, err := parentByNumber(pidfd, os.Getpid()); err == nil {
		t.Errorf("by another's number: %d", got)
	}
}

// TestPidfdSignalGroup ends what a process left in its group, after that was waited for.
func TestPidfdSignalGroup(t *testing.T) {
	aemtest.Require(t, aemtest.Feature{Name: "PIDFD_SIGNAL_PROCESS_GROUP", Since: aemtest.Linux{Major: 6, Minor: 9}, Probe: SignalsGroups})
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	cmd := exec.Command("/bin/sh", "-c", "sleep 60 & exit 0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stdout = write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	pidfd, err := PidfdOpen(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer Close(pidfd)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := PidfdSignalGroup(pidfd, syscall.SIGKILL); err != nil {
		t.Errorf("kill what was left: %v", err)
	}
	if n, err := read.Read(make([]byte, 1)); n != 0 || err == nil { // its end is the end of the pipe
		t.Errorf("read %d, %v", n, err)
	}
	for deadline := time.Now().Add(10 * time.Second); !errors.Is(PidfdSignalGroup(pidfd, 0), syscall.ESRCH); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the group does not end")
		}
	}
}

func TestExitOf(t *testing.T) {
	for status, want := range map[uint32]Exit{
		0: {}, 0x0300: {Code: 3}, 0xff00: {Code: 255}, 9: {Signal: syscall.SIGKILL}, 0x8b: {Signal: syscall.SIGSEGV, Core: true},
	} {
		if got, ok := ExitOf(status); got != want || !ok {
			t.Errorf("%#x: %+v, %t", status, got, ok)
		}
	}
	for _, status := range []uint32{0x7f, 0x137f, 0xffff, 1 << 16} { // stopped, continued, none
		if got, ok := ExitOf(status); ok {
			t.Errorf("%#x: %+v", status, got)
		}
	}
}
