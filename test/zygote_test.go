package test

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// zygoteApp has a zygote in Python that says to each client who it is and whose child, and then waits for a byte.
const zygoteApp = `
[app.a.policy]
namespaces = [] # the pids that eggs tell are ours to signal
[app.a.handler.egg]
exec = ["python3", "egg.py"]
life = "zygote"
handover = "direct"
restart = { first = "50ms" }
[app.a.event.in]
type = "socket.accept"
listen = "unix://$DIR/in.sock"
handler = "egg"
`

// zygote runs zygoteApp.
func zygote(t *testing.T, who user) *supervisor {
	t.Helper()
	aemtest.Require(t, aemtest.Python)
	s := prepare(t, who, zygoteApp)
	for name, file := range map[string]string{"egg.py": "sdk/testdata/egg.py", "aem.py": "../sdk/python/aem.py"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s.write(name, string(text))
	}
	s.run()
	return s
}

// egg is one client of the zygote.
type egg struct {
	net.Conn
	zygote, pid int
}

// dial connects; greeted reads what the egg tells then.
func (s *supervisor) dial() *egg {
	s.t.Helper()
	c, err := net.Dial("unix", s.path("in.sock"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return &egg{Conn: c}
}

func (s *supervisor) greeted(e *egg) *egg {
	s.t.Helper()
	var line [100]byte
	var calls, warm int
	if err := e.SetDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	n, err := e.Read(line[:])
	if err == nil {
		_, err = fmt.Sscan(string(line[:n]), &calls, &warm, &e.zygote, &e.pid)
	}
	if err != nil || calls != 1 || warm != 42 {
		s.t.Fatalf("an egg told %q: %v", line[:n], err)
	}
	return e
}

// killZygote kills one, which may be stopped.
func killZygote(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// TestZygoteIsKilled kills zygotes that have children and events that they could not take: the children answer and end,
// and how is known; the events, each with a connection, go to the next zygote.
func TestZygoteIsKilled(t *testing.T) {
	for name, who := range map[string]user{"myself": myself(), "nobody": nobody()} {
		t.Run(name, func(t *testing.T) {
			s := zygote(t, who)
			good, bad := s.greeted(s.dial()), s.greeted(s.dial())
			if err := syscall.Kill(good.zygote, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			var waiting []*egg
			for range 5 {
				waiting = append(waiting, s.dial())
			}
			s.until("a", "in", "given to the zygote", func(j job) bool { return j.Counts.Running == 7 })
			killZygote(t, good.zygote)
			for _, e := range waiting {
				if s.greeted(e); e.zygote == good.zygote {
					t.Error("the zygote that was killed has a child")
				}
				e.Write([]byte("b"))
			}
			good.Write([]byte("b"))
			bad.Write([]byte("x")) // it crashes
			c := s.settled("a", "in", 7)
			if c.Done != 6 || c.Failed != 1 {
				t.Errorf("books %+v", c)
			}
			s.log.await(t, "msg=failed", "reason=connection", "signal=ABRT")
			s.stop()
		})
	}
}

// TestZygotesSupervisorIsKilled leaves a zygote's child behind, which is stopped so that it does not end by itself. The next
// supervisor ends it.
func TestZygotesSupervisorIsKilled(t *testing.T) {
	for name, who := range map[string]user{"myself": myself(), "nobody": nobody()} {
		t.Run(name, func(t *testing.T) {
			s := zygote(t, who)
			e := s.greeted(s.dial())
			if err := syscall.Kill(e.pid, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			time.Sleep(300 * time.Millisecond) // until the child is written down: without a cgroup it is found by that
			s.crash()
			s.run()
			for deadline := time.Now().Add(patience); running(e.pid); time.Sleep(5 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("process %d lives on", e.pid)
				}
			}
			s.greeted(s.dial()).Write([]byte("b"))
			s.settled("a", "in", 1)
			s.stop()
		})
	}
}

// running reports whether a process is there, and no zombie.
func running(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}
