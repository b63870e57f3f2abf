package attach

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestLayersExample has an application of three layers, each a process of one thread, answer by a call and a message; while
// the middle one is replaced, what comes waits for its successor.
func TestLayersExample_R163(t *testing.T) {
	w := serve(t, "[app.layers]\n")
	address := freeAddress(t)
	layer := func(args ...string) *program {
		p := w.start("../../examples/layers/layer.py", 0, args...)
		p.says("ready")
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
		if err != nil || !strings.Contains(string(status), "\nThreads:\t1\n") {
			t.Errorf("layer %s is not of one thread: %v\n%s", args[0], err, status)
		}
		return p
	}
	book, price := layer("book"), layer("price")
	layer("front", "tcp://"+address)
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // a test's
	answers := bufio.NewReader(c)
	ask := func(say string) {
		t.Helper()
		if _, err := io.WriteString(c, say); err != nil {
			t.Fatal(err)
		}
	}
	answer := func(want string) {
		t.Helper()
		c.SetReadDeadline(time.Now().Add(patience)) //nolint:errcheck // then the read says so
		if got, err := answers.ReadString('\n'); err != nil || got != want {
			t.Fatalf("answer %q, %v, want %q", got, err, want)
		}
	}
	ask("pears 3\n")
	answer("pears 3: 450\n")
	if total := book.says("total "); total != "450" {
		t.Errorf("booked %s", total)
	}
	if err := price.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	w.await("the middle layer is gone", func() bool { return len(w.jobs()) == 2 })
	ask("apples 2\n")
	w.await("what came is tried again", func() bool {
		for _, j := range w.jobs() {
			if j.Event == "line" && j.Counts.Waiting == 1 {
				return true
			}
		}
		return false
	})
	layer("price")
	answer("apples 2: 240\n")
	if total := book.says("total "); total != "690" {
		t.Errorf("booked %s", total)
	}
}
