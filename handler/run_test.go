package handler

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/directcopy"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// programs are the handlers that tests start.
var programs = map[string]func(){
	"sum":      func() { Run(sum, InFlight(64)) },
	"tell":     func() { Run(tell) },
	"echo":     func() { Run(echo) },
	"back":     func() { Run(func(_ context.Context, e *Event) error { return e.Reply(e.Data) }) },
	"wait":     func() { Run(waitByte) },
	"deadline": func() { Run(untilDeadline) },
	"panic":    func() { Run(func(context.Context, *Event) error { panic("no such sku") }, InFlight(3)) },
}

// sum answers with the checksum of the data, as an error: what came back is what arrived.
func sum(_ context.Context, e *Event) error { return Fail(fmt.Errorf("%x", sha256.Sum256(e.Data))) }

// tell does what the data says.
func tell(_ context.Context, e *Event) error {
	switch string(e.Data) {
	case "done":
		return nil
	case "fail":
		return fmt.Errorf("tell: %w", Fail(errors.New("gave up")))
	case "after":
		return After(1500*time.Microsecond, errors.New("busy"))
	case "long":
		return errors.New(strings.Repeat("x", 2*directcopy.MaxText))
	case "facts":
		return fmt.Errorf("%d %s %s/%s %s %d %d %d %d %q %q", e.ID, e.Job, e.App, e.Name, e.Type, e.Attempt, e.Count, e.Priority,
			e.Time.UnixNano(), e.Fact("peer"), e.Fact("none"))
	case "conn":
		_, err := e.Conn()
		return err
	case "reply":
		return errors.Join(e.Reply([]byte("not this one")), e.Reply(e.Data))
	case "reply and fail":
		return errors.Join(e.Reply(e.Data), Fail(errors.New("gave up")))
	case "long reply":
		return Fail(e.Reply(make([]byte, MaxReply+1)))
	}
	return errors.New("retry")
}

func echo(_ context.Context, e *Event) error {
	c, err := e.Conn()
	if err != nil {
		return err
	}
	_, err = io.Copy(c, c)
	return err
}

// waitByte writes a byte to its connection and reads one, so that a test holds it in the middle of an event.
func waitByte(_ context.Context, e *Event) error {
	c, err := e.Conn()
	if err != nil {
		return err
	}
	if _, err = c.Write([]byte{1}); err == nil {
		_, err = c.Read(make([]byte, 1))
	}
	return err
}

func untilDeadline(ctx context.Context, _ *Event) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestFates(t *testing.T) {
	a := ready(t, "tell", arena(1<<20))
	facts := []directcopy.Fact{{Name: "app", Value: "shop"}, {Name: "event", Value: "order"}, {Name: "type", Value: "topic"}, {Name: "peer", Value: "[::1]:7"}}
	for _, test := range []struct {
		data string
		want directcopy.Answer
	}{
		{"done", directcopy.Answer{Outcome: directcopy.Done}},
		{"retry", directcopy.Answer{Outcome: directcopy.Retry, Text: "retry"}},
		{"fail", directcopy.Answer{Outcome: directcopy.Fail, Text: "tell: gave up"}},
		{"after", directcopy.Answer{Outcome: directcopy.Retry, Text: "busy", Delay: 2 * time.Millisecond}},
		{"long", directcopy.Answer{Outcome: directcopy.Retry, Text: strings.Repeat("x", directcopy.MaxText)}},
		{"reply", directcopy.Answer{Outcome: directcopy.Done, Reply: []byte("reply")}},
		{"reply and fail", directcopy.Answer{Outcome: directcopy.Fail, Text: "gave up"}},
		{"long reply", directcopy.Answer{Outcome: directcopy.Fail, Text: "reply: 1048577 bytes, at most 1048576 are allowed"}},
		{"conn", directcopy.Answer{Outcome: directcopy.Retry, Text: "get connection: the event has none"}},
		{"facts", directcopy.Answer{Outcome: directcopy.Retry, Text: `77 5:3 shop/order topic 2 4 31 123 "[::1]:7" ""`}},
	} {
		r, err := a.box.Reserve([]directcopy.Block{{ID: 77, Job: 3<<32 | 5, Time: 123, Attempt: 2, Count: 4, Priority: 31, Facts: facts, Data: []byte(test.data)}})
		check(t, err)
		test.want.Number = r.First()
		check(t, r.Copy(a.cmd.Process.Pid))
		check(t, r.Publish(-1))
		if got := a.answers(1)[0]; !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: answer %+v, want %+v", test.data, got, test.want)
		}
	}
	check(t, a.box.Stop())
	a.end()
	if status := a.exit(); status != 0 {
		t.Errorf("exit status %d after stop: %s", status, a.stderr.String())
	}
}

// TestData sends events of all sizes through a ring that they wrap many times, and compares checksums.
func TestData(t *testing.T) {
	a := ready(t, "sum", arena(1<<20))
	sizes := []int{0, 1, 63, 64, 65, 1024, 4095, 100_000, 900 << 10, 7, 300_000, 0, 0, 524_288}
	want := map[uint64]string{}
	var queue []directcopy.Block
	for i := range 10 * len(sizes) {
		queue = append(queue, directcopy.Block{ID: uint64(i), Data: bytes.Repeat([]byte{byte(i), byte(i >> 8), 7}, sizes[i%len(sizes)]/3+1)[:sizes[i%len(sizes)]]})
		want[uint64(i)] = fmt.Sprintf("%x", sha256.Sum256(queue[i].Data))
	}
	for len(want) > 0 {
		queue = queue[a.put(-1, queue...):]
		for _, got := range a.answers(1) {
			if got.Text != want[got.Number] {
				t.Fatalf("event %d arrived as %q, want %q", got.Number, got.Text, want[got.Number])
			}
			delete(want, got.Number)
		}
		if len(queue) == 0 && len(want) > 0 {
			queue = queue[:0:0]
			for _, got := range a.answers(len(want)) {
				if got.Text != want[got.Number] {
					t.Fatalf("event %d arrived as %q, want %q", got.Number, got.Text, want[got.Number])
				}
				delete(want, got.Number)
			}
		}
	}
}

// TestGrow sends events that the arena does not hold yet, and small ones between.
func TestGrow(t *testing.T) {
	t.Run("direct", func(t *testing.T) { testGrow(t, false) })
	t.Run("shared", func(t *testing.T) { testGrow(t, true) })
}

func testGrow(t *testing.T, shared bool) {
	a := ready(t, "sum", directcopy.Options{ArenaSize: 1 << 16, ArenaMax: 256<<20 + 4096, Shared: shared})
	data := bytes.Repeat([]byte{1, 2, 3, 5, 8, 13, 21}, 256<<20/7+1)
	for _, size := range []int{10, 1 << 16, 1, 3 << 20, 256 << 20, 100} {
		a.put(-1, directcopy.Block{Data: data[:size]})
		if got := a.answers(1)[0]; got.Text != fmt.Sprintf("%x", sha256.Sum256(data[:size])) {
			t.Errorf("%d bytes arrived as %q", size, got.Text)
		}
	}
}

// TestLongReply needs more than the channel holds at once.
func TestLongReply(t *testing.T) {
	a := ready(t, "back", arena(2<<20))
	want := bytes.Repeat([]byte("0123456789a"), MaxReply/11+1)[:MaxReply]
	for _, size := range []int{MaxReply, 1} {
		a.put(-1, directcopy.Block{Data: want[:size]})
		if got := a.answers(1)[0]; !bytes.Equal(got.Reply, want[:size]) {
			t.Errorf("%d bytes came back, want %d", len(got.Reply), size)
		}
	}
}

func TestConnection(t *testing.T) {
	a := ready(t, "echo", arena(1<<20))
	for range 3 {
		ours := a.connect()
		_, err := io.WriteString(ours, "hello\n")
		check(t, err)
		check(t, ours.CloseWrite())
		if got, err := io.ReadAll(ours); string(got) != "hello\n" || err != nil {
			t.Errorf("echo sent %q, %v", got, err)
		}
		if got := a.answers(1)[0]; got.Outcome != directcopy.Done {
			t.Errorf("answer %+v", got)
		}
	}
}

// TestTerm signals in the middle of an event: it is finished, and the next one is not taken.
func TestTerm(t *testing.T) {
	a := ready(t, "wait", arena(1<<20))
	conn := a.connect()
	_, err := conn.Read(make([]byte, 1))
	check(t, err)
	a.signal(syscall.SIGTERM)
	_, err = conn.Write([]byte{1})
	check(t, err)
	if got := a.answers(1)[0]; got.Outcome != directcopy.Done {
		t.Errorf("answer %+v", got)
	}
	a.end()
	if status := a.exit(); status != 0 {
		t.Errorf("exit status %d: %s", status, a.stderr.String())
	}
}

func TestTermWhileIdle(t *testing.T) {
	a := ready(t, "tell", arena(1<<20))
	a.signal(syscall.SIGTERM)
	a.end()
	if status := a.exit(); status != 0 {
		t.Errorf("exit status %d: %s", status, a.stderr.String())
	}
}

// TestSupervisorGone closes our end: the handler ends by itself.
func TestSupervisorGone(t *testing.T) {
	a := ready(t, "tell", arena(1<<20))
	a.box.Close()
	if status := a.exit(); status != 0 {
		t.Errorf("exit status %d: %s", status, a.stderr.String())
	}
}

// TestPanic dies at the first of three events: the other two were not taken.
func TestPanic(t *testing.T) {
	a := ready(t, "panic", arena(1<<20))
	a.put(-1, make([]directcopy.Block, 3)...)
	a.end()
	if status := a.exit(); status != 2 || !strings.Contains(a.stderr.String(), "panic: no such sku") {
		t.Errorf("exit status %d, stderr %q", status, a.stderr.String())
	}
	if got, err := a.box.Answers(nil); len(got) != 0 || err != nil || a.box.Taken() != 1 || a.box.InFlight() != 3 {
		t.Errorf("answers %v, %v; taken %d, in flight %d", got, err, a.box.Taken(), a.box.InFlight())
	}
}

func TestDeadline(t *testing.T) {
	a := ready(t, "deadline", arena(1<<20))
	a.put(-1, directcopy.Block{Deadline: time.Now().Add(time.Millisecond).UnixNano()})
	if got := a.answers(1)[0]; got.Text != context.DeadlineExceeded.Error() {
		t.Errorf("answer %+v", got)
	}
}

func TestNotStarted(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "AEM_TEST_PROGRAM=tell")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 2 || !strings.HasPrefix(string(out), "not started by aem-exec: ") {
		t.Errorf("%v: %q", err, out)
	}
}

// connect publishes an event with one end of a socket pair and returns the other.
func (a *agent) connect() *conn {
	a.t.Helper()
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	check(a.t, err)
	a.put(ends[1], directcopy.Block{})
	sys.Close(ends[1])
	c := &conn{os.NewFile(uintptr(ends[0]), "client")}
	a.t.Cleanup(func() { c.Close() })
	return c
}

type conn struct{ *os.File }

// CloseWrite tells the other end that nothing more comes.
func (c *conn) CloseWrite() error { return syscall.Shutdown(int(c.Fd()), syscall.SHUT_WR) }
