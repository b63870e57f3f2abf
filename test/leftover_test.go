package test

import (
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// leavingApp has a handler that leaves two processes behind: a child, and one in a session of its own.
const leavingApp = `
[app.a.event.leave]
type = "topic"
handler = { exec = ["sh", "-c", "sleep 1000 & setsid sh -c '>apart; exec sleep 1001' & until [ -e apart ]; do :; done; rm apart; echo gone"], handover = "none", leftover = "LEFTOVER" }
`

// TestLeftoversAreKilled has the supervisor end what outlives a handler: with cgroups at once, without them by the
// process group and as found among its children.
func TestLeftoversAreKilled(t *testing.T) {
	for name, who := range map[string]user{"myself": myself(), "nobody": nobody()} {
		t.Run(name, func(t *testing.T) {
			s := start(t, who, strings.Replace(leavingApp, `, leftover = "LEFTOVER"`, "", 1))
			s.must("emit", "a/leave", "--wait")
			s.log.await(t, "msg=gone")
			began := time.Now()
			for deadline := time.Now().Add(patience); len(s.processes()) > 0; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("processes %v are left", s.processes())
				}
			}
			t.Logf("gone after %v", time.Since(began))
			s.stop()
		})
	}
}

// TestLeftoversAtTheEnd stops the supervisor as soon as a handler has left something: it is gone too.
func TestLeftoversAtTheEnd(t *testing.T) {
	for name, who := range map[string]user{"myself": myself(), "nobody": nobody()} {
		t.Run(name, func(t *testing.T) {
			s := start(t, who, strings.Replace(leavingApp, `, leftover = "LEFTOVER"`, "", 1))
			s.must("emit", "a/leave", "--wait")
			s.stop()
		})
	}
}

// TestLeftoversAreLeft has a handler whose children may go on, even after the supervisor's end.
func TestLeftoversAreLeft(t *testing.T) {
	for name, who := range map[string]user{"myself": myself(), "nobody": nobody()} {
		t.Run(name, func(t *testing.T) {
			s := start(t, who, "[app.a.policy]\nnamespaces = []\n"+strings.Replace(leavingApp, "LEFTOVER", "leave", 1))
			for range 3 { // the place of what is left is not used again
				s.must("emit", "a/leave", "--wait")
			}
			time.Sleep(3 * time.Second) // longer than leftovers are looked for
			if n := len(s.processes()); n != 6 {
				t.Errorf("%d processes are left, want 6", n)
			}
			s.signal(syscall.SIGTERM)
			if err := s.wait(); err != nil {
				t.Errorf("end of the supervisor: %v", err)
			}
			left := s.processes()
			if len(left) != 6 {
				t.Errorf("%d processes are left at the end, want 6", len(left))
			}
			for _, pid := range left {
				n, _ := strconv.Atoi(pid)
				syscall.Kill(n, syscall.SIGKILL) //nolint:errcheck // the test cleans up
			}
			s.run() // sweeps the cgroups that were kept for what was left
			s.stop()
		})
	}
}
