package sdk

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/directcopy"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/agenttest"
)

// said is an event that says what to do.
func said(what string) directcopy.Block { return directcopy.Block{Data: []byte(what), Attempt: 1} }

// sum is what a teller answers to data that says nothing to it.
func sum(data []byte) string { return fmt.Sprintf("%d %08x", len(data), crc32.ChecksumIEEE(data)) }

func TestFates(t *testing.T) {
	facts := []directcopy.Fact{{Name: "app", Value: "shop"}, {Name: "event", Value: "order"}, {Name: "handler", Value: "h"},
		{Name: "type", Value: "topic"}, {Name: "topic", Value: "shop/höß"}}
	forEach(t, func(t *testing.T, teller []string) {
		a := ready(t, teller, arena(1<<20))
		for _, test := range []struct {
			data    string
			outcome directcopy.Outcome
			delay   time.Duration
			text    string // the end of it
		}{
			{"done", directcopy.Done, 0, ""},
			{"retry", directcopy.Retry, 0, "not yet"},
			{"after", directcopy.Retry, 300 * time.Millisecond, "busy"},
			{"fail", directcopy.Fail, 0, "gave up"},
			{"done", directcopy.Done, 0, ""},
			{"third", directcopy.Retry, 0, "attempt 2"},
			{"facts", directcopy.Fail, 0, "77 12884901893 2 4 31 123000 456000 shop order h topic shop/höß -"},
			{"", directcopy.Fail, 0, sum(nil)},
			{"reply", directcopy.Done, 0, ""},
		} {
			a.Put(-1, directcopy.Block{ID: 77, Job: 3<<32 | 5, Time: 123_000, Deadline: 456_000, Attempt: 2, Count: 4,
				Priority: 31, Facts: facts, Data: []byte(test.data)})
			got := a.Answers(1)[0]
			if text := strings.TrimSpace(got.Text); got.Outcome != test.outcome || got.Delay != test.delay || !strings.HasSuffix(text, test.text) || test.text == "" && text != "" {
				t.Errorf("%s: answer %+v, want %v after %v, %q", test.data, got, test.outcome, test.delay, test.text)
			}
			if want := map[string]string{"reply": "pong"}[test.data]; string(got.Reply) != want {
				t.Errorf("%s: reply %q, want %q", test.data, got.Reply, want)
			}
		}
		a.Put(-1, said("long"))
		if got := a.Answers(1)[0]; len(got.Text) != directcopy.MaxText {
			t.Errorf("a long text has %d bytes", len(got.Text))
		}
		check(t, a.Box.Stop())
		a.End()
		a.Exit(0)
	})
}

// TestData sends events of many sizes through an arena that they wrap several times, and compares checksums.
func TestData(t *testing.T) {
	eachCopy(t, func(t *testing.T, teller []string, o directcopy.Options) {
		o.ArenaSize = 2 << 20 // from here on it is aligned otherwise
		a := ready(t, append(teller, "8"), o)
		var queue []directcopy.Block
		want := map[uint64]string{}
		for i, size := range []int{0, 1, 63, 64, 1024, 900 << 10, 65, 4095, 300_000, 900 << 10, 7, 1_500_000, 0, 5, 900 << 10} {
			data := bytes.Repeat([]byte{byte(i), 1, 2, 3, 5, 8, 13}, size/7+1)[:size]
			queue = append(queue, directcopy.Block{Data: data})
			want[uint64(i)] = sum(data)
		}
		for len(want) > 0 {
			if len(queue) > 0 {
				queue = queue[a.Put(-1, queue...):]
			}
			for _, got := range a.Answers(1) {
				if got.Text != want[got.Number] {
					t.Fatalf("event %d arrived as %q, want %q", got.Number, got.Text, want[got.Number])
				}
				delete(want, got.Number)
			}
		}
	})
}

// TestReplies sends data there and back, in pieces that the channel does not hold at once.
func TestReplies(t *testing.T) {
	forEach(t, func(t *testing.T, teller []string) {
		a := ready(t, append(teller, "2"), arena(2<<20))
		longest := bytes.Repeat([]byte("=23456789ab"), directcopy.MaxReply/11+1)[:directcopy.MaxReply]
		for _, size := range []int{directcopy.MaxReply, 1, 4095, 4096, 4097, 100_000} {
			a.Put(-1, directcopy.Block{Data: longest[:size]}, said("done"))
			got := a.Answers(2)
			if !bytes.Equal(got[0].Reply, longest[:size]) || got[1].Reply != nil {
				t.Errorf("%d and %d bytes came back, want %d and none", len(got[0].Reply), len(got[1].Reply), size)
			}
		}
	})
}

// TestArenaIsThere has each page of an arena there before the first event, and huge ones asked for from 2 MiB on.
func TestArenaIsThere(t *testing.T) {
	aemtest.Require(t, aemtest.HugePages)
	for _, teller := range tellers[:2] { // the one in Perl does what it must
		aemtest.Require(t, teller.needs...)
		for _, size := range []int{1 << 20, 2<<20 - 4096, 2 << 20, 5 << 20} {
			for _, shared := range []bool{false, true} {
				a := ready(t, teller.command(t, teller.source), directcopy.Options{ArenaSize: size, Shared: shared})
				if got, huge := a.Arena(), size >= 2<<20; got.Advised != huge || got.Resident < size>>10 {
					t.Errorf("%s, %d bytes, shared %t: %+v, want %d kB, advised %t", teller.name, size, shared, got, size>>10, huge)
				}
			}
		}
	}
}

// TestAppAlloc_R089 has handlers say where events land: in memory that was made for them, or in their own.
func TestAppAlloc_R089(t *testing.T) {
	eachCopy(t, func(t *testing.T, teller []string, o directcopy.Options) {
		for _, memory := range []string{"made", "own"} {
			o.ArenaSize, o.AppAlloc = 2<<20, true
			a := ready(t, append(teller, "8", memory), o)
			var queue []directcopy.Block
			for i, size := range []int{0, 1, 4096, 900 << 10, 65, 300_000, 900 << 10, 7, 1_500_000, 0, 5, 900 << 10} {
				queue = append(queue, directcopy.Block{Data: bytes.Repeat([]byte{byte(i), 1, 2, 3, 5, 8, 13}, size/7+1)[:size]})
			}
			for len(queue) > 0 {
				n := a.Put(-1, queue...)
				for i, got := range a.Answers(n) {
					if want := sum(queue[i].Data); got.Text != want {
						t.Fatalf("event %d arrived as %q, want %q", got.Number, got.Text, want)
					}
				}
				queue = queue[n:]
			}
			a.Connect(said("done"))
			a.Answers(1)
			check(t, a.Box.Stop())
			a.End()
			a.Exit(0)
		}
	})
}

// TestAllocatorMissingOrTooMany starts handlers that do not do as their file says.
func TestAllocatorMissingOrTooMany(t *testing.T) {
	for _, teller := range tellers[:2] { // the one in Perl does as it is asked
		for _, app := range []bool{true, false} {
			aemtest.Require(t, teller.needs...)
			command := command(t, teller.command(t, teller.source))
			if !app {
				command.Args = append(command.Args, "1", "made")
			}
			a := agenttest.New(t, command, directcopy.Options{ArenaSize: 1 << 16, AppAlloc: app})
			a.Start()
			if wrote := a.Exit(1); !strings.Contains(wrote, `arena.alloc`) {
				t.Errorf("%s: it wrote %q", teller.name, wrote)
			}
		}
	}
}

// TestGrow sends events that the arena does not hold yet, up to 256 MiB, and small ones between.
func TestGrow(t *testing.T) {
	eachCopy(t, func(t *testing.T, teller []string, o directcopy.Options) {
		o.ArenaSize, o.ArenaMax = 1<<16, 256<<20+4096
		a := ready(t, append(teller, "3"), o)
		data := bytes.Repeat([]byte{1, 2, 3, 5, 8, 13, 21}, 256<<20/7+1)
		for _, size := range []int{10, 1 << 16, 1, 3 << 20, 1 << 16, 256 << 20, 100} {
			a.Put(-1, said("done"), said("done"))
			a.Answers(2)
			a.Put(-1, directcopy.Block{Data: data[:size]})
			if got := a.Answers(1)[0]; got.Text != sum(data[:size]) {
				t.Errorf("%d bytes arrived as %q, want %q", size, got.Text, sum(data[:size]))
			}
		}
		a.Connect(said("done"))
		a.Answers(1)
		check(t, a.Box.Stop())
		a.End()
		a.Exit(0)
	})
}

// TestGrowWithoutMemory asks for more than the handler can get.
func TestGrowWithoutMemory(t *testing.T) {
	eachCopy(t, func(t *testing.T, teller []string, o directcopy.Options) {
		o.ArenaSize, o.ArenaMax = 1<<16, 512<<20
		limited := append([]string{"/bin/sh", "-c", `ulimit -v 400000; exec "$0" "$@"`}, teller...)
		a := ready(t, limited, o)
		check(t, a.Box.Grow(512<<20))
		a.End()
		if status, wrote := a.Wait(); status < 1 || !strings.Contains(wrote, "Cannot allocate memory") {
			t.Errorf("exit status %d; the handler wrote: %s", status, wrote)
		}
	})
}

// TestGrowAtTheEnd ends a handler that has just been told to grow.
func TestGrowAtTheEnd(t *testing.T) {
	eachCopy(t, func(t *testing.T, teller []string, o directcopy.Options) {
		o.ArenaSize, o.ArenaMax = 1<<16, 1<<20
		for _, end := range []func(a *agenttest.Agent) error{
			func(a *agenttest.Agent) error { return a.Box.Stop() },
			func(a *agenttest.Agent) error { return a.Box.Close() },
			func(a *agenttest.Agent) error { return a.Cmd.Process.Signal(syscall.SIGTERM) },
		} {
			a := ready(t, teller, o)
			a.Signal(syscall.SIGSTOP)
			check(t, a.Box.Grow(1<<20))
			check(t, end(a))
			a.Signal(syscall.SIGCONT)
			if a.Box.Channel() >= 0 {
				a.End()
			}
			a.Exit(0)
		}
	})
}

// TestManyInFlight keeps up to 64 events in flight, through many rounds of both rings.
func TestManyInFlight(t *testing.T) {
	forEach(t, func(t *testing.T, teller []string) {
		a := ready(t, append(teller, "64"), arena(1<<16))
		const events = 1000
		for sent, answered := 0, 0; answered < events; {
			if left := min(directcopy.Slots, events-sent); left > 0 {
				sent += a.Put(-1, make([]directcopy.Block, left)...)
			}
			for _, got := range a.Answers(1) {
				if got.Number != uint64(answered) || got.Text != sum(nil) {
					t.Fatalf("answer %+v, want the one of event %d", got, answered)
				}
				answered++
			}
		}
	})
}

// TestDeath dies at the second of three events: the third was not taken.
func TestDeath(t *testing.T) {
	forEach(t, func(t *testing.T, teller []string) {
		a := ready(t, append(teller, "3"), arena(1<<16))
		a.Put(-1, said("done"), said("die"), said("done"))
		a.End()
		a.Exit(3)
		if got, err := a.Box.Answers(nil); len(got) != 1 || err != nil || a.Box.Taken() != 2 || a.Box.InFlight() != 2 {
			t.Errorf("answers %v, %v; taken %d, in flight %d", got, err, a.Box.Taken(), a.Box.InFlight())
		}
	})
}

func TestDescriptors(t *testing.T) {
	forEach(t, func(t *testing.T, teller []string) {
		a := ready(t, append(teller, "2"), arena(1<<16))
		for range 3 {
			conn := a.Connect(said("conn"))
			if n, err := conn.Read(make([]byte, 8)); n != 1 || err != nil {
				t.Fatalf("read %d, %v", n, err)
			}
			_, err := conn.Write([]byte("!"))
			check(t, err)
			if got := a.Answers(1)[0]; got.Outcome != directcopy.Done {
				t.Errorf("answer %+v", got)
			}
			if n, _ := conn.Read(make([]byte, 8)); n != 0 {
				t.Error("the connection lives on after its event")
			}
			a.Connect(said("done")) // whose handler does not look at it
			a.Answers(1)
		}
	})
}

// TestTerm signals in the middle of an event: it is finished, and the next one is not taken.
func TestTerm(t *testing.T) {
	forEach(t, func(t *testing.T, teller []string) {
		a := ready(t, append(teller, "2"), arena(1<<16))
		conn := a.Connect(said("conn"))
		_, err := conn.Read(make([]byte, 1))
		check(t, err)
		a.Put(-1, said("done"))
		a.Signal(syscall.SIGTERM)
		_, err = conn.Write([]byte("!"))
		check(t, err)
		if got := a.Answers(1)[0]; got.Outcome != directcopy.Done {
			t.Errorf("answer %+v", got)
		}
		a.End()
		a.Exit(0)
		if a.Box.Taken() != 1 {
			t.Errorf("taken %d", a.Box.Taken())
		}
	})
}

func TestTermWhileIdle(t *testing.T) {
	forEach(t, func(t *testing.T, teller []string) {
		a := ready(t, teller, arena(1<<16))
		a.Put(-1, said("done"))
		a.Answers(1)
		a.Signal(syscall.SIGTERM)
		a.End()
		a.Exit(0)
	})
}

// TestStop has events published before STOP that the handler finds together with it.
func TestStop(t *testing.T) {
	forEach(t, func(t *testing.T, teller []string) {
		a := ready(t, append(teller, "8"), arena(1<<16))
		a.Signal(syscall.SIGSTOP)
		a.Put(-1, said("done"), said("done"), said("done"))
		check(t, a.Box.Stop())
		a.Signal(syscall.SIGCONT)
		a.Answers(3)
		a.End()
		a.Exit(0)
	})
}

// TestSupervisorGone closes our end: the handler ends by itself.
func TestSupervisorGone(t *testing.T) {
	forEach(t, func(t *testing.T, teller []string) {
		a := ready(t, teller, arena(1<<16))
		a.Box.Close()
		a.Exit(0)
	})
}

func TestNotStarted(t *testing.T) {
	forEach(t, func(t *testing.T, teller []string) {
		cmd := command(t, teller)
		out, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 2 || !strings.HasPrefix(string(out), "not started by aem-exec") {
			t.Errorf("exit status %d: %q", cmd.ProcessState.ExitCode(), out)
		}
	})
}

// TestOtherVersion shows the handler a control page of another version of the ABI.
func TestOtherVersion(t *testing.T) {
	for _, teller := range tellers[:2] { // the one in Perl dies in its own way
		t.Run(teller.name, func(t *testing.T) {
			aemtest.Require(t, teller.needs...)
			a := agenttest.New(t, command(t, teller.command(t, teller.source)), arena(1<<16))
			_, err := syscall.Pwrite(a.Box.Handler()[1], []byte{2}, 4)
			check(t, err)
			a.Start()
			if wrote := a.Exit(1); !strings.Contains(wrote, "map control page: ") {
				t.Errorf("it wrote %q", wrote)
			}
		})
	}
}

// TestPython is what only Python has.
func TestPython(t *testing.T) {
	aemtest.Require(t, python.needs...)
	a := ready(t, python.command(t, "testdata/tell.py"), arena(1<<16))
	for _, test := range []struct{ data, want string }{
		{`{"why": "so"}`, "so"},
		{`{"why": `, "json.decoder.JSONDecodeError: "},
		{"attribute", "AttributeError: the event has no fact 'none'"},
		{"conn", "OSError: the event has no connection"},
		{"too long", "the reply has 1048577 bytes, at most 1048576 are allowed"},
		{"no reply", "the reply is int, want bytes or the like, str or None"},
	} {
		a.Put(-1, said(test.data))
		if got := a.Answers(1)[0]; !strings.Contains(got.Text, test.want) {
			t.Errorf("%s: %q", test.data, got.Text)
		}
	}
}

// TestC is what only C has: numbers that are no outcome, and replies beside what is said then.
func TestC(t *testing.T) {
	aemtest.Require(t, c.needs...)
	a := ready(t, c.command(t, "testdata/tell.c"), arena(1<<16))
	a.Put(-1, said("number"))
	if got := a.Answers(1)[0]; got.Outcome != directcopy.Retry {
		t.Errorf("answer %+v", got)
	}
	a.Put(-1, said("reply, fail"))
	if got := a.Answers(1)[0]; got.Outcome != directcopy.Fail || got.Text != "gave up" || got.Reply != nil {
		t.Errorf("answer %+v", got)
	}
	a.Put(-1, said("too long"))
	if got := a.Answers(1)[0]; got.Text != "reply: Message too long" {
		t.Errorf("answer %+v", got)
	}
}
