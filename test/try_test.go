package test

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// trying is an `aem-exec try` that runs, with what it writes.
type trying struct {
	*exec.Cmd
	out strings.Builder
	log *journal
}

func try(t *testing.T, s *supervisor, args ...string) *trying {
	t.Helper()
	c := &trying{Cmd: s.command(append([]string{"try"}, args...)...), log: newJournal()}
	c.Stdout, c.Stderr = &c.out, c.log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestTry_R172: a handler is tried as its app would have it run, beside a supervisor that runs already, and a program with
// connections that no file knows of.
func TestTry_R172(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	s := start(t, myself(), `
[app.a]
user = "nobody"
[app.a.limits]
pids = 10
[app.a.event.who]
type    = "topic"
handler = { exec = ["sh", "-c", "id -u; cat /proc/self/cgroup; cat /proc/self/status; cat"], handover = "data" }
`)
	s.write("data", "what is tried\n")
	c := try(t, s, "a/who", "--data", s.path("data"))
	if err := c.Wait(); err != nil {
		t.Errorf("%v: %s", err, c.log.last(4<<10))
	}
	out := c.out.String()
	for _, want := range []string{"65534\n", "/aem-p" + itoa(c.Process.Pid) + "/a/", "Seccomp:\t2\n", "NoNewPrivs:\t1\n", "what is tried\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in %s", want, out)
		}
	}
	if n := s.list()[0].Counts.Detected; n != 0 {
		t.Errorf("the supervisor that runs detected %d", n)
	}

	c = try(t, s, "socket.accept", "listen=unix://"+s.path("x"), "--count", "2", "--", "cat")
	c.log.await(t, "waiting for try/try")
	for range 2 {
		if answer, err := converse("unix", s.path("x"), "hello\n"); answer != "hello\n" {
			t.Errorf("%q, %v", answer, err)
		}
	}
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
	c.log.await(t, "try/try:try: 2 done")

	c = try(t, s, "timer", "after=1h", "--", "true")
	c.log.await(t, "waiting for try/try")
	c.Process.Signal(syscall.SIGINT)
	if err := c.Wait(); err == nil || c.ProcessState.ExitCode() != 111 {
		t.Errorf("nothing came: %v", err)
	}
	s.stop()
}
