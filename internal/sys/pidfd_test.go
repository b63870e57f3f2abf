package sys_test

import (
	"errors"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/internal/sys"
)

func TestWaitPIDFD(t *testing.T) {
	for script, want := range map[string]sys.Exit{
		"read line; exit 3":        {Code: 3},
		"read line; kill -HUP $$":  {Signal: syscall.SIGHUP},
		"read line; kill -KILL $$": {Signal: syscall.SIGKILL},
	} {
		t.Run(script, func(t *testing.T) {
			pidfd, proceed := startShell(t, script)
			if _, ok, err := sys.WaitPIDFD(pidfd, true); ok || err != nil {
				t.Errorf("while it runs: got ended %t, %v", ok, err)
			}
			proceed()
			got, ok, err := sys.WaitPIDFD(pidfd, false)
			if got != want || !ok || err != nil {
				t.Errorf("got %+v, ended %t, %v; want %+v", got, ok, err, want)
			}
			if err := sys.PeekPIDFD(pidfd, sys.WEXITED); !errors.Is(err, syscall.ECHILD) {
				t.Errorf("peek after the wait: got %v, want %v", err, syscall.ECHILD)
			}
		})
	}
}

func TestPidfdSendSignal(t *testing.T) {
	pidfd, _ := startShell(t, "read line")
	if err := sys.PidfdSendSignal(pidfd, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got, _, err := sys.WaitPIDFD(pidfd, false); got.Signal != syscall.SIGTERM || err != nil {
		t.Errorf("got %+v, %v, want death by SIGTERM", got, err)
	}
}

// startShell runs a script whose stdin ends when proceed is called.
func startShell(t *testing.T, script string) (pidfd int, proceed func()) {
	t.Helper()
	var stdin [2]int
	if err := syscall.Pipe2(stdin[:], syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", script}, &syscall.ProcAttr{Files: []uintptr{uintptr(stdin[0])}})
	sys.Close(stdin[0])
	if err != nil {
		t.Fatal(err)
	}
	pidfd, err = sys.PidfdOpen(pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sys.Close(pidfd) })
	open := true
	proceed = func() {
		if open {
			open = false
			sys.Close(stdin[1])
		}
	}
	t.Cleanup(proceed)
	return pidfd, proceed
}
