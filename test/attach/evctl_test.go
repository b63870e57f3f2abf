package attach

import (
	"io"
	"net"
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
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close() //nolint:errcheck // its address is what was wanted
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
				"in a copy 1 1 1",
				"waited for 0",
			} {
				if got := <-p.lines; !strings.HasPrefix(got, want) {
					t.Fatalf("it says %q, want %q", got, want)
				}
			}
			for range 3 { // one of them is written by a copy, in its own time
				last = append(last, <-p.lines)
			}
			slices.Sort(last)
			if want := []string{"all", "in a copy 1 0 1", "not to be waited for 1"}; !slices.Equal(last, want) {
				t.Errorf("at last it says %q, want %q", last, want)
			}
			w.await("nothing is left", func() bool { return len(w.jobs()) == 0 })
		})
	}
}
