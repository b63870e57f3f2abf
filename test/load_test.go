package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// How much load the tests make. With the race detector it is less, so that all of them end in time.
const (
	manyConnections, manyConnectionsRace = 10_000, 1_000 // for each kind of handler
	manyEvents, manyEventsRace           = 1_000, 300    // of each kind, while nothing may grow
	clientsAtOnce                        = 32
)

// load is n, or fewer with the race detector.
func load(n, race int) int {
	if raceEnabled {
		return race
	}
	return n
}

// echoKinds are the ways an echo server can be run.
var echoKinds = []struct{ name, handler string }{
	{"cold", `{ exec = ["bin/echo"], handover = "direct" }`},
	{"capsule", `{ exec = ["bin/echo"], handover = "direct", life = "capsule", size = 8 }`},
	{"resident", `{ exec = ["bin/echo"], handover = "direct", life = "resident", size = 4 }`},
	{"socket", `{ exec = ["/bin/cat"], handover = "socket" }`},
}

// echoServers is a supervisor with one echo server of each kind and what more there is, and their addresses.
func echoServers(t *testing.T, more string) (s *supervisor, addresses map[string]string) {
	var config strings.Builder
	config.WriteString(more)
	addresses = map[string]string{}
	for _, k := range echoKinds {
		addresses[k.name] = freeAddress(t)
		fmt.Fprintf(&config, "[app.echo.event.%s]\ntype = \"socket.accept\"\nlisten = \"tcp://%s\"\nhandler = %s\n",
			k.name, addresses[k.name], k.handler)
	}
	return start(t, myself(), config.String()), addresses
}

// TestManyConnections has each kind of handler answer many clients at once, all of them right.
func TestManyConnections(t *testing.T) {
	s, addresses := echoServers(t, "")
	n := load(manyConnections, manyConnectionsRace)
	for _, k := range echoKinds {
		t.Run(k.name, func(t *testing.T) {
			began := time.Now()
			echoes(t, "tcp", addresses[k.name], n, clientsAtOnce)
			t.Logf("%d connections in %v", n, time.Since(began))
		})
		if c := s.settled("echo", k.name, n); c != (counts{Detected: n, Done: n}) {
			t.Errorf("%s: %+v", k.name, c)
		}
	}
	s.stop()
}

// TestNothingGrows looks at the supervisor's descriptors, threads and memory before and after a thousand events of each
// kind. They come fewer at once than those before: agents at work at the same time have descriptors of their own, which
// are kept for the next.
func TestNothingGrows(t *testing.T) {
	aemtest.Require(t, aemtest.Root) // to look at the descriptors of a process that is closed to others
	s, addresses := echoServers(t, `
log = { level = "warn" }
[app.bus.limits]
activations = 1000
[app.bus.handler.data]
exec = ["true"]
handover = "data"
[app.bus.handler.stdin]
exec = ["true"]
handover = "stdin"
[app.bus.handler.counter]
exec = ["bin/counter"]
handover = "direct"
life = "resident"
[app.bus.handler.thread]
agent = "thread"
call = "log"
[app.bus.handler.callback]
agent = "callback"
call = "log"
[app.bus.event.t]
type = "topic"
handlers = ["data", "stdin", "counter", "thread", "callback"]
`)
	sent := 0
	work := func(n, atOnce int) usage {
		for _, k := range echoKinds {
			echoes(t, "tcp", addresses[k.name], n, atOnce)
		}
		s.emits("bus/t", n, atOnce)
		if t.Failed() {
			t.FailNow()
		}
		sent += n
		return s.usage(sent)
	}
	before := work(load(500, 150), 2*clientsAtOnce)
	after := work(load(manyEvents, manyEventsRace), 8)
	t.Logf("before %+v, after %+v", before, after)
	if after.descriptors != before.descriptors {
		t.Errorf("descriptors: %d before, %d after", before.descriptors, after.descriptors)
	}
	if after.threads > before.threads+4 { // the Go runtime starts one now and then
		t.Errorf("threads: %d before, %d after", before.threads, after.threads)
	}
	if grown := after.kilobytes - before.kilobytes; grown > 16<<10 {
		t.Errorf("memory has grown by %d KiB", grown)
	}
	if n := len(s.processes()); n != 8+4+1 { // the capsules and the residents
		t.Errorf("%d processes are there", n)
	}
	s.stop()
}

// usage is what a supervisor takes of the host.
type usage struct{ descriptors, threads, kilobytes int }

// usage measures when each job has settled n events and the supervisor is at rest: what is still being made or cleaned
// holds descriptors of its own.
func (s *supervisor) usage(n int) usage {
	s.t.Helper()
	for _, j := range s.list() {
		s.settled(j.App, j.Event, n)
	}
	last, same := usage{}, 0
	for deadline := time.Now().Add(patience); same < 75; time.Sleep(20 * time.Millisecond) { // longer than the lull before capsules are refilled
		now := s.usageNow()
		if same++; now.descriptors != last.descriptors {
			same = 0
		}
		last = now
		if time.Now().After(deadline) {
			s.t.Fatalf("the supervisor does not come to rest: %+v", now)
		}
	}
	return last
}

func (s *supervisor) usageNow() usage {
	proc := filepath.Join("/proc", itoa(s.cmd.Process.Pid))
	open, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		s.t.Fatal(err)
	}
	status, err := os.ReadFile(filepath.Join(proc, "status"))
	if err != nil {
		s.t.Fatal(err)
	}
	u := usage{descriptors: len(open)}
	for line := range strings.Lines(string(status)) {
		fields := strings.Fields(line)
		switch fields[0] {
		case "Threads:":
			u.threads, _ = strconv.Atoi(fields[1])
		case "VmRSS:":
			u.kilobytes, _ = strconv.Atoi(fields[1])
		}
	}
	return u
}
