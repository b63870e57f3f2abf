package test

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// slowApp has an event whose handler says that it has begun and runs until there is a file `go`, one at a time, and
// agents that wait for events.
const slowApp = `
[app.a.handler.slow]
exec = ["sh", "-c", "echo begun; until [ -e go ]; do sleep 0.02; done; echo ended"]
handover = "none"
concurrency = 1
[app.a.handler.counter]
exec = ["bin/counter"]
handover = "direct"
life = "resident"
[app.a.handler.echo]
exec = ["bin/echo"]
handover = "direct"
life = "capsule"
[app.a.event.slow]
type = "topic"
handler = "slow"
[app.a.event.count]
type = "topic"
handler = "counter"
[app.a.event.in]
type = "socket.accept"
listen = "unix://$DIR/in.sock"
handler = "echo"
`

// TestStopLetsRunningFinish stops a supervisor while one event runs and one waits.
func TestStopLetsRunningFinish(t *testing.T) {
	s := start(t, myself(), slowApp)
	waiting := s.command("emit", "a/slow", "--wait")
	if err := waiting.Start(); err != nil {
		t.Fatal(err)
	}
	s.log.await(t, "msg=begun")
	s.must("emit", "a/slow", "--data", "never begun")
	s.signal(syscall.SIGTERM)
	s.log.await(t, "terminated: stopping")
	s.log.await(t, "msg=failed", "event=slow", "reason=stopped", "attempt=0/4")
	if status, _ := s.output("emit", "a/slow"); status != 111 {
		t.Errorf("emit while stopping: exit status %d", status)
	}
	if _, err := converse("unix", s.path("in.sock"), "x"); err == nil {
		t.Error("it still listens")
	}
	s.write("go", "")
	if err := waiting.Wait(); err != nil {
		t.Errorf("whoever waited for the running event: %v", err)
	}
	if err := s.wait(); err != nil {
		t.Errorf("end of the supervisor: %v", err)
	}
	s.log.await(t, "msg=ended")
	s.nothingLeft()

	s.run()
	if out := s.must("ctl", "dead", "list"); strings.Count(out, "\n") != 2 || !strings.Contains(out, " stopped ") {
		t.Errorf("dead letters after the restart:\n%s", out)
	}
	s.stop()
}

// TestSecondSignalKills does not give what runs its time.
func TestSecondSignalKills(t *testing.T) {
	s := start(t, myself(), "grace = \"1h\"\n"+strings.Replace(slowApp, "echo begun", "trap '' TERM; echo begun", 1))
	s.must("emit", "a/slow")
	s.log.await(t, "msg=begun")
	s.signal(syscall.SIGTERM)
	s.log.await(t, "terminated: stopping")
	s.signal(syscall.SIGHUP)
	s.log.await(t, "hangup: ")
	s.signal(syscall.SIGTERM)
	if err := s.wait(); err != nil {
		t.Errorf("end of the supervisor: %v", err)
	}
	s.log.await(t, "msg=failed", "event=slow", "reason=stopped", "signal=KILL")
	s.nothingLeft()
}

// TestGraceEnds has a handler that does not end by itself.
func TestGraceEnds(t *testing.T) {
	for _, who := range []user{myself(), nobody()} {
		s := start(t, who, "grace = \"200ms\"\n"+slowApp)
		s.must("emit", "a/slow")
		s.log.await(t, "msg=begun")
		began := time.Now()
		s.stop()
		if took := time.Since(began); took < 200*time.Millisecond || took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
		s.log.await(t, "msg=failed", "event=slow", "reason=stopped")
	}
}

// TestNobodyReadsTheLog fills the pipe that the log goes to: events are run still, and the supervisor can be stopped.
func TestNobodyReadsTheLog(t *testing.T) {
	s := start(t, myself(), "grace = \"100ms\"\n"+outputApp)
	s.log.hold(true)
	defer s.log.hold(false)
	s.must("emit", "loud/flood")
	for range 10 { // each takes some milliseconds of a flood that fills the pipe in one
		s.must("emit", "quiet/t", "--wait")
	}
	s.signal(syscall.SIGTERM)
	status := "/proc/" + itoa(s.cmd.Process.Pid) + "/status"
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if text, err := os.ReadFile(status); err != nil || strings.Contains(string(text), "State:\tZ") {
			break // it has ended, and nobody has read what it had to say
		}
		if time.Now().After(deadline) {
			t.Fatal("the supervisor does not end")
		}
	}
	s.log.hold(false)
	if err := s.wait(); err != nil {
		t.Errorf("end of the supervisor: %v", err)
	}
	s.nothingLeft()
}

// TestRemoveTellsWhoWaits removes a job while one event of it runs and one waits.
func TestRemoveTellsWhoWaits(t *testing.T) {
	s := start(t, myself(), slowApp)
	running := s.command("emit", "a/slow", "--wait")
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	s.log.await(t, "msg=begun")
	waiting := s.command("emit", "a/slow", "--wait")
	if err := waiting.Start(); err != nil {
		t.Fatal(err)
	}
	s.until("a", "slow", "waiting", func(j job) bool { return j.Counts.Waiting == 1 })
	s.must("ctl", "remove", "a/slow")
	if waiting.Wait(); waiting.ProcessState.ExitCode() != 111 { //nolint:errcheck // the exit status is what counts
		t.Errorf("who waited for the event that is shed: %v", waiting.ProcessState)
	}
	s.write("go", "")
	if err := running.Wait(); err != nil {
		t.Errorf("who waited for the event that ran: %v", err)
	}
	s.stop()
}
