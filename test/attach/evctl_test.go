package attach

import (
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// TestAcceptExample runs the server that AEM's requirements show: it registers for accept, and lives in its keepalive until
// a signal.
func TestAcceptExample_R029_R113_R114_R119(t *testing.T) {
	w := serve(t, "[app.server]\n")
	host, port, _ := net.SplitHostPort(freeAddress(t))
	t.Setenv("AEM_APP", "server")
	p := w.start("../../examples/accept.c", 0, host, port)
	if id := p.says("registered "); id != "1" {
		t.Errorf("its id is %s", id)
	}
	for _, say := range []string{"hello\n", strings.Repeat("x", 100_000)} {
		c, err := net.Dial("tcp", net.JoinHostPort(host, port))
		if err != nil {
			t.Fatal(err)
		}
		heard := make(chan string)
		go func() {
			answer, err := io.ReadAll(c)
			if err != nil {
				t.Errorf("read: %v", err)
			}
			heard <- string(answer)
		}()
		if _, err = io.WriteString(c, say); err == nil {
			err = c.(*net.TCPConn).CloseWrite()
		}
		if answer := <-heard; err != nil || answer != say {
			t.Errorf("%d bytes came back of %d, %v", len(answer), len(say), err)
		}
		c.Close() //nolint:errcheck // a test's
		if told := p.says("event 1, socket "); !strings.HasSuffix(told, ": 127.0.0.1 came") {
			t.Errorf("it says %q", told)
		}
	}
	w.await("only the listener is waited for", func() bool { return len(w.jobs()) == 1 })
	if job := w.jobs()[0]; job.Event != "accept" || job.Counts.Done != 2 || job.Type != "socket.ready" {
		t.Errorf("left is %s", text(job))
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	w.await("its jobs go with it", func() bool { return len(w.jobs()) == 0 })
}

// TestSelectExample has one program wait by select in a handler, and for events in its own loop, which knows nothing else of
// us: no signal of its is handled, ignored or blocked.
func TestSelectExample_R030_R185(t *testing.T) {
	w := serve(t, "[app.server]\n")
	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	t.Setenv("AEM_APP", "server")
	p := w.start("../../examples/select.c", 0, port)
	p.says("registered")
	ask := func(say, want string) {
		t.Helper()
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close() //nolint:errcheck // a test's
		_, err = io.WriteString(c, say)
		answer, rerr := io.ReadAll(c)
		if err != nil || rerr != nil || string(answer) != want {
			t.Errorf("to %q it answers %q, %v, %v; want %q", say, answer, err, rerr, want)
		}
	}
	ask("Ada\n", "hello Ada\n")
	ask("", "hello whoever you are\n") // select in the handler timed out
	if _, err := io.WriteString(p.in, "good day\n"); err != nil {
		t.Fatal(err)
	}
	if said := p.says("good day, after "); said == "0 ticks" {
		t.Error("no timer came in all the time") // a second at least, of which each tenth is one
	}
	ask("Grace\n", "good day Grace\n")
	const none = "0000000000000000"
	inherited := statusOf(t, os.Getpid(), "SigIgn") // as of make, which has the C library ignore one of its own
	for set, want := range map[string]string{"SigBlk": none, "SigIgn": inherited, "SigCgt": none} {
		if got := statusOf(t, p.Process.Pid, set); got != want {
			t.Errorf("%s of it is %s, want %s", set, got, want)
		}
	}
	p.in.Close() //nolint:errcheck // its end is what the program waits for
	w.await("its jobs go with it", func() bool { return len(w.jobs()) == 0 })
}

// statusOf is a line of a process's status.
func statusOf(t *testing.T, pid int, name string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, line, ok := strings.Cut(string(text), "\n"+name+":\t")
	if err != nil || !ok {
		t.Fatalf("no %s of process %d (%v)", name, pid, err)
	}
	line, _, _ = strings.Cut(line, "\n")
	return line
}

// freeAddress is one of this host where nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // its address is what was wanted
	return l.Addr().String()
}

// TestEvctlInC has a C program do all that evctl.h has, in C and as C++, with direct copies and with shared memory.
func TestEvctlInC_R112_R115_R116_R117_R118_R120_R191_R192(t *testing.T) {
	aemtest.Require(t, aemtest.Root) // to be told of states of TCP
	for compiler, settings := range map[string][]string{"cc -std=gnu99": nil, "c++ -std=c++11 -x c++": {`{"arena":{"copy":"shared"}}`}} {
		t.Run(compiler, func(t *testing.T) {
			w := serve(t, files)
			t.Setenv("AEM_APP", "a")
			t.Setenv("AEM_TEST_COMPILER", compiler)
			p, last := w.start("testdata/evctl.c", 0, settings...), []string{}
			for _, want := range []string{
				"ticks 1 stopped 10 1",
				"priority 15",
				"above 1 priority: a/timer:attached-", // and its process
				"filter 22 invalid operation: < (mismatched types",
				"born stopped",
				"both armed armed 15 10",
				"stale 2",
				"another id 1",
				"flags 22",
				"once 1 1",
				"single shot is gone 2",
				"held 0 1 0 strictly 1",
				"accept 1 1",
				"read hello",
				"ended 1 1 closed 1 states 1",
				"sock 1",
				"fork 0 0",
				"read by another 0 0, error 1, gone 2, ended 1",
				"a copy served hi 0, once 2, one 1",
				"once, in a copy 1 1 1",
				"waited for 0",
			} {
				if got := <-p.lines; !strings.HasPrefix(got, want) {
					t.Fatalf("it says %q, want %q", got, want)
				}
			}
			for range 5 { // one of them is written by a copy, in its own time
				last = append(last, <-p.lines)
			}
			slices.Sort(last)
			if want := []string{"all", "around 5 5 died 2 wrong 0 stale 2", "held off 5, then 6", "in a copy 1 0 1", "not to be waited for 1"}; !slices.Equal(last, want) {
				t.Errorf("at last it says %q, want %q", last, want)
			}
			w.await("nothing is left", func() bool { return len(w.jobs()) == 0 })
		})
	}
}

// TestEvctlParts has a C program try what few calls reach: ids by the thousand, of places that are used again.
func TestEvctlParts_R112(t *testing.T) {
	aemtest.Require(t, aemtest.CC)
	w := serve(t, "[app.a.limits]\njobs = 20000\n")
	t.Setenv("AEM_APP", "a")
	if got := <-w.start("testdata/parts.c", 0).lines; got != "all" {
		t.Errorf("it says %q", got)
	}
	w.await("nothing is left", func() bool { return len(w.jobs()) == 0 })
}

// TestEvctlDetached has the supervisor end what it has with a C program, which is told so and lives on.
func TestEvctlDetached_R113(t *testing.T) {
	aemtest.Require(t, aemtest.CC)
	w := serve(t, files)
	t.Setenv("AEM_APP", "a")
	p := w.start("testdata/detached.c", 0)
	for _, want := range []string{"depth 1", "ended 1, 1, 1"} {
		if got := <-p.lines; got != want {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
	w.await("nothing is left", func() bool { return len(w.jobs()) == 0 })
}
