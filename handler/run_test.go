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
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/agenttest"
)

// TestMain runs the tests, or, started by one of them, the handler program that it named.
func TestMain(m *testing.M) {
	if name := os.Getenv("AEM_TEST_PROGRAM"); name != "" {
		programs[name]()
		os.Exit(0)
	}
	aemtest.NoLeaks(m)
}

// programs are the handlers that tests start.
var programs = map[string]func(){
	"sum":      func() { Run(sum, InFlight(64)) },
	"tell":     func() { Run(tell) },
	"echo":     func() { Run(echo) },
	"back":     func() { Run(func(_ context.Context, e *Event) error { return e.Reply(e.Data) }) },
	"wait":     func() { Run(waitByte) },
	"deadline": func() { Run(untilDeadline) },
	"keep":     keep,
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

// keep has each event land behind the one before, and answers with the data of all: it is still there.
func keep() {
	m, top := new(Memory), 0
	m.Alloc = func(size, _ int) (offset int, ok bool) {
		offset, top = top, top+size
		return offset, top <= len(m.Arena)
	}
	var kept [][]byte
	Run(func(_ context.Context, e *Event) error {
		kept = append(kept, e.Data)
		return e.Reply(bytes.Join(kept, []byte(" ")))
	}, InMemory(m), InFlight(2))
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

// ready is a process of one of the programs that said hello.
func ready(t testing.TB, program string, o directcopy.Options) *agenttest.Agent {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "AEM_TEST_PROGRAM="+program, "GORACE=atexit_sleep_ms=0")
	return agenttest.Ready(t, cmd, o)
}

// arena is a handler's arena that stays as it is.
func arena(size int) directcopy.Options { return directcopy.Options{ArenaSize: size} }

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
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
		r, err := a.Box.Reserve([]directcopy.Block{{ID: 77, Job: 3<<32 | 5, Time: 123, Attempt: 2, Count: 4, Priority: 31, Facts: facts, Data: []byte(test.data)}})
		check(t, err)
		test.want.Number = r.First()
		check(t, r.Copy(a.Cmd.Process.Pid))
		check(t, r.Publish(-1))
		if got := a.Answers(1)[0]; !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: answer %+v, want %+v", test.data, got, test.want)
		}
	}
	check(t, a.Box.Stop())
	a.End()
	a.Exit(0)
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
		queue = queue[a.Put(-1, queue...):]
		for _, got := range a.Answers(1) {
			if got.Text != want[got.Number] {
				t.Fatalf("event %d arrived as %q, want %q", got.Number, got.Text, want[got.Number])
			}
			delete(want, got.Number)
		}
		if len(queue) == 0 && len(want) > 0 {
			queue = queue[:0:0]
			for _, got := range a.Answers(len(want)) {
				if got.Text != want[got.Number] {
					t.Fatalf("event %d arrived as %q, want %q", got.Number, got.Text, want[got.Number])
				}
				delete(want, got.Number)
			}
		}
	}
}

// TestArenaIsThere has each page of an arena there before the first event, and huge ones asked for from 2 MiB on.
func TestArenaIsThere(t *testing.T) {
	aemtest.Require(t, aemtest.HugePages)
	for _, size := range []int{1 << 20, 2<<20 - 4096, 2 << 20, 5 << 20} {
		for _, shared := range []bool{false, true} {
			a := ready(t, "tell", directcopy.Options{ArenaSize: size, Shared: shared})
			if got, huge := a.Arena(), size >= 2<<20; got.Advised != huge || got.Resident < size>>10 {
				t.Errorf("%d bytes, shared %t: %+v, want %d kB, advised %t", size, shared, got, size>>10, huge)
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
		a.Put(-1, directcopy.Block{Data: data[:size]})
		if got := a.Answers(1)[0]; got.Text != fmt.Sprintf("%x", sha256.Sum256(data[:size])) {
			t.Errorf("%d bytes arrived as %q", size, got.Text)
		}
	}
}

// TestKeptData has a handler keep what it was given, where it landed.
func TestKeptData_R089(t *testing.T) {
	a := ready(t, "keep", directcopy.Options{ArenaSize: 1 << 16, AppAlloc: true})
	a.Put(-1, directcopy.Block{Data: []byte("no")}, directcopy.Block{Data: []byte("copy")})
	a.Answers(2)
	a.Put(-1, directcopy.Block{Data: []byte("is made")})
	if got := a.Answers(1)[0]; string(got.Reply) != "no copy is made" {
		t.Errorf("answer %+v", got)
	}
}

// TestMemoryMissingOrTooMuch starts handlers that do not do as their file says.
func TestMemoryMissingOrTooMuch(t *testing.T) {
	for program, app := range map[string]bool{"tell": true, "keep": false} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "AEM_TEST_PROGRAM="+program)
		a := agenttest.New(t, cmd, directcopy.Options{ArenaSize: 1 << 16, AppAlloc: app})
		a.Start()
		if wrote := a.Exit(1); !strings.Contains(wrote, "arena.alloc") {
			t.Errorf("%s: it wrote %q", program, wrote)
		}
	}
}

// TestLongReply needs more than the channel holds at once.
func TestLongReply(t *testing.T) {
	a := ready(t, "back", arena(2<<20))
	want := bytes.Repeat([]byte("0123456789a"), MaxReply/11+1)[:MaxReply]
	for _, size := range []int{MaxReply, 1} {
		a.Put(-1, directcopy.Block{Data: want[:size]})
		if got := a.Answers(1)[0]; !bytes.Equal(got.Reply, want[:size]) {
			t.Errorf("%d bytes came back, want %d", len(got.Reply), size)
		}
	}
}

func TestConnection(t *testing.T) {
	a := ready(t, "echo", arena(1<<20))
	for range 3 {
		ours := a.Connect(directcopy.Block{})
		_, err := io.WriteString(ours, "hello\n")
		check(t, err)
		check(t, syscall.Shutdown(int(ours.Fd()), syscall.SHUT_WR))
		if got, err := io.ReadAll(ours); string(got) != "hello\n" || err != nil {
			t.Errorf("echo sent %q, %v", got, err)
		}
		if got := a.Answers(1)[0]; got.Outcome != directcopy.Done {
			t.Errorf("answer %+v", got)
		}
	}
}

// TestTerm signals in the middle of an event: it is finished, and the next one is not taken.
func TestTerm(t *testing.T) {
	a := ready(t, "wait", arena(1<<20))
	conn := a.Connect(directcopy.Block{})
	_, err := conn.Read(make([]byte, 1))
	check(t, err)
	a.Signal(syscall.SIGTERM)
	_, err = conn.Write([]byte{1})
	check(t, err)
	if got := a.Answers(1)[0]; got.Outcome != directcopy.Done {
		t.Errorf("answer %+v", got)
	}
	a.End()
	a.Exit(0)
}

func TestTermWhileIdle(t *testing.T) {
	a := ready(t, "tell", arena(1<<20))
	a.Signal(syscall.SIGTERM)
	a.End()
	a.Exit(0)
}

// TestSupervisorGone closes our end: the handler ends by itself.
func TestSupervisorGone(t *testing.T) {
	a := ready(t, "tell", arena(1<<20))
	a.Box.Close()
	a.Exit(0)
}

// TestPanic dies at the first of three events: the other two were not taken.
func TestPanic(t *testing.T) {
	a := ready(t, "panic", arena(1<<20))
	a.Put(-1, make([]directcopy.Block, 3)...)
	a.End()
	if wrote := a.Exit(2); !strings.Contains(wrote, "panic: no such sku") {
		t.Errorf("it wrote %q", wrote)
	}
	if got, err := a.Box.Answers(nil); len(got) != 0 || err != nil || a.Box.Taken() != 1 || a.Box.InFlight() != 3 {
		t.Errorf("answers %v, %v; taken %d, in flight %d", got, err, a.Box.Taken(), a.Box.InFlight())
	}
}

func TestDeadline(t *testing.T) {
	a := ready(t, "deadline", arena(1<<20))
	a.Put(-1, directcopy.Block{Deadline: time.Now().Add(time.Millisecond).UnixNano()})
	if got := a.Answers(1)[0]; got.Text != context.DeadlineExceeded.Error() {
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

// TestZygoteIsRefused: a Go program cannot be copied by fork.
func TestZygoteIsRefused(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "AEM_TEST_PROGRAM=tell", "AEM_ABI=1", "AEM_LIFE=zygote")
	out, _ := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), "no Go program survives: use resident or capsule") {
		t.Errorf("exit status %d: %q", cmd.ProcessState.ExitCode(), out)
	}
}
