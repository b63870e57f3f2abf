package test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// crashApp leaves processes of every sort behind when its supervisor is killed: a resident, which the test stops so that
// it does not see its channel end, a handler that hangs, and in a session of its own a process whose parents have ended.
const crashApp = `
[app.a.handler.counter]
exec = ["bin/counter"]
handover = "direct"
life = "resident"
[app.a.handler.hang]
exec = ["sh", "-c", "DAEMON echo begun; exec sleep 1000"]
handover = "none"
[app.a.handler.fussy]
exec = ["sh", "-c", "echo got $(cat); [ -e fixed ] || exit 65"]
handover = "data"
[app.a.event.count]
type = "topic"
handler = "counter"
[app.a.event.hang]
type = "topic"
handler = "hang"
[app.a.event.fussy]
type = "topic"
handler = "fussy"
[app.a.event.in]
type = "socket.accept"
listen = "unix://$DIR/in.sock"
handler = { exec = ["cat"], handover = "socket" }
`

// TestCrash kills the supervisor and looks what the next one makes of what it left: with cgroups every process, without
// them those that the supervisor has made itself. In a pid namespace nothing is left: it ends with the supervisor.
func TestCrash(t *testing.T) {
	daemon := strings.Replace(crashApp, "DAEMON", "setsid sh -c 'sleep 1001 & exit';", 1)
	t.Run("cgroups", func(t *testing.T) {
		aemtest.Require(t, aemtest.Root)
		crash(t, myself(), "[app.a.policy]\nnamespaces = []\n"+daemon, 3)
	})
	t.Run("namespaces", func(t *testing.T) {
		aemtest.Require(t, aemtest.Root)
		crash(t, myself(), daemon, 0)
	})
	t.Run("none", func(t *testing.T) {
		crash(t, nobody(), strings.Replace(crashApp, "DAEMON", "", 1), 2)
	})
}

func crash(t *testing.T, who user, app string, processes int) {
	s := start(t, who, app)
	if status, _ := s.output("emit", "a/fussy", "--data", "text\nmore", "--wait"); status != 1 {
		t.Errorf("emit: %d", status)
	}
	s.must("emit", "a/hang")
	s.log.await(t, "msg=begun")
	s.letters(1)
	s.freeze("counter")
	s.crash()
	left := s.processes()
	for deadline := time.Now().Add(patience); len(left) > processes && time.Now().Before(deadline); left = s.processes() {
		time.Sleep(time.Millisecond) // the kernel is ending them
	}
	if len(left) != processes {
		t.Errorf("the killed supervisor left %d processes, want %d", len(left), processes)
	}
	if _, err := os.Stat(s.path("run/control.sock")); err != nil {
		t.Errorf("the killed supervisor left no socket: %v", err)
	}
	if status, _ := s.output("ctl", "list"); status != 111 {
		t.Errorf("ctl list without a supervisor: %d", status)
	}

	s.run()
	if processes > 0 {
		s.log.await(t, "ended processes that a killed supervisor left", "processes="+itoa(processes))
	}
	s.gone(left)
	if answer, err := converse("unix", s.path("in.sock"), "hello"); answer != "hello" {
		t.Errorf("the socket that was left: %q, %v", answer, err)
	}
	s.replayAndDrop()
	s.stop()
}

// freeze stops the processes of a program.
func (s *supervisor) freeze(program string) {
	s.t.Helper()
	for _, pid := range s.processes() {
		if comm, _ := os.ReadFile(filepath.Join("/proc", pid, "comm")); string(comm) == program+"\n" {
			n, _ := strconv.Atoi(pid)
			if err := syscall.Kill(n, syscall.SIGSTOP); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

// letters waits until there are so many dead letters on the disk.
func (s *supervisor) letters(n int) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if files, _ := filepath.Glob(s.path("state/dead/*.letter")); len(files) == n {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("there are not %d letters", n)
		}
	}
}

// gone waits until none of the processes is there.
func (s *supervisor) gone(pids []string) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		now := s.processes()
		if !slices.ContainsFunc(pids, func(pid string) bool { return slices.Contains(now, pid) }) {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("of %v there are still %v", pids, now)
		}
	}
}

// replayAndDrop does with the dead letter of the run before what can be done with one.
func (s *supervisor) replayAndDrop() {
	s.t.Helper()
	var letters []struct{ ID, Job string }
	decode(s.t, s.must("ctl", "dead", "list", "--json"), &letters)
	if len(letters) != 1 || letters[0].Job != "a/fussy" {
		s.t.Fatalf("letters %+v", letters)
	}
	if data := s.must("ctl", "dead", "show", "--raw", letters[0].ID); data != "text\nmore" {
		s.t.Errorf("data %q", data)
	}
	s.must("ctl", "dead", "replay", letters[0].ID) // it fails once more
	s.settled("a", "fussy", 1)
	s.letters(1)
	s.write("fixed", "")
	s.must("ctl", "dead", "replay", "a/fussy")
	if c := s.settled("a", "fussy", 2); c.Done != 1 || c.Failed != 1 {
		s.t.Errorf("after two replays: %+v", c)
	}
	s.letters(0)
	os.Remove(s.path("fixed")) //nolint:errcheck // then the next line fails
	if status, _ := s.output("emit", "a/fussy", "--wait"); status != 1 {
		s.t.Errorf("emit: %d", status)
	}
	s.letters(1)
	s.must("ctl", "dead", "drop", "--all")
	s.letters(0)
}
