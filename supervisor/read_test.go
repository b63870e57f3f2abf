package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/source"
)

// readApp is an app whose event a/read has the handler read from a socket.
func readApp(h executor.Spec, frame source.Frame, at source.Address) App {
	spec := source.Read{Listen: []source.Address{at}, Frame: frame, MaxBytes: 64 << 10, Connections: 1000}
	return testApp("a", []executor.Spec{h}, event("read", spec, "h"))
}

// function has a supervisor's callbacks, or threads, of handler h call f.
func function(agent executor.AgentKind, f executor.Function) (executor.Spec, func(*Options)) {
	h := builtin("h", "f", nil)
	h.Agent = agent
	return h, func(o *Options) { o.Functions = map[string]executor.Function{"f": f} }
}

// client is somebody who speaks to an address.
type client struct {
	t *testing.T
	net.Conn
}

func connect(t *testing.T, network string, at source.Address) client {
	t.Helper()
	c, err := net.Dial(network, at.IP.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience)) //nolint:errcheck // then a failure takes longer
	return client{t, c}
}

func (c client) say(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// gets wants so much to come back, "" for the end.
func (c client) gets(want string) {
	c.t.Helper()
	b := make([]byte, max(1, len(want)))
	if n, err := io.ReadFull(c, b); string(b[:n]) != want {
		c.t.Errorf("got %q, %v, want %q", b[:n], err, want)
	}
}

func upper(_ context.Context, e *aem.Event) error {
	e.Reply([]byte(strings.ToUpper(string(e.Data))))
	return nil
}

// TestReplyGoesBack_R115 has each kind of agent answer lines and datagrams.
func TestReplyGoesBack_R115(t *testing.T) {
	process := func(life executor.Life) func(*testing.T) (executor.Spec, func(*Options)) {
		return func(t *testing.T) (executor.Spec, func(*Options)) {
			h := role(t, "upper")
			h.Life = life
			return h, nil
		}
	}
	for name, make := range map[string]func(*testing.T) (executor.Spec, func(*Options)){
		"callback": func(*testing.T) (executor.Spec, func(*Options)) { return function(executor.Callback, upper) },
		"thread":   func(*testing.T) (executor.Spec, func(*Options)) { return function(executor.Thread, upper) },
		"resident": process(executor.Resident),
		"capsule":  process(executor.Capsule),
		"cold":     process(executor.Cold),
	} {
		t.Run(name, func(t *testing.T) {
			h, change := make(t)
			at := tcpAddress(t)
			r := startRun(t, change, readApp(h, source.Line, at))
			var all sync.WaitGroup
			const clients, lines = 8, 5
			for i := range clients {
				c := connect(t, "tcp", at)
				all.Go(func() {
					for n := range lines {
						c.say(fmt.Sprintf("line %d\nof %d\n", n, i))
						c.gets(fmt.Sprintf("LINE %d\nOF %d\n", n, i))
					}
				})
			}
			all.Wait()
			r.until("a/read", "done", func(c aem.Counts) bool { return c.Done == 2*clients*lines })
		})
	}
	t.Run("datagram", func(t *testing.T) {
		at := tcpAddress(t)
		at.Scheme = "udp"
		h, change := function(executor.Callback, upper)
		startRun(t, change, readApp(h, source.Datagram, at))
		c := connect(t, "udp", at)
		for _, text := range []string{"one", "two"} {
			c.say(text)
			c.gets(strings.ToUpper(text))
		}
	})
}

// TestRetriedFrameKeepsItsPlace: the frames behind it wait, and those of other connections do not.
func TestRetriedFrameKeepsItsPlace(t *testing.T) {
	at := tcpAddress(t)
	tries := 0
	h, change := function(executor.Callback, func(_ context.Context, e *aem.Event) error {
		if string(e.Data) == "bad\n" {
			if tries++; tries < 3 {
				e.Reply([]byte("an error has no reply"))
				return errors.New("not yet")
			}
		}
		e.Reply(e.Data)
		return nil
	})
	h.Backoff.First = 100 * time.Millisecond
	r := startRun(t, change, readApp(h, source.Line, at))
	c, other := connect(t, "tcp", at), connect(t, "tcp", at)
	c.say("bad\ngood\n")
	other.say("meanwhile\n")
	other.gets("meanwhile\n")
	c.gets("bad\ngood\n")
	r.stop()
	if tries != 3 {
		t.Errorf("%d attempts", tries)
	}
}

// TestFailedFrameIsADeadLetter, with its own data, and its replay is an event without a connection.
func TestFailedFrameIsADeadLetter(t *testing.T) {
	at := tcpAddress(t)
	var seen []string
	h, change := function(executor.Callback, func(_ context.Context, e *aem.Event) error {
		seen = append(seen, string(e.Data))
		e.Reply([]byte("no"))
		if len(seen) == 1 {
			return aem.Fail(errors.New("no use"))
		}
		return nil
	})
	r := startRun(t, change, readApp(h, source.Line, at))
	c := connect(t, "tcp", at)
	c.say("first\nsecond\n")
	c.gets("")
	other := connect(t, "tcp", at) // whose data would lie where the dead letter's lay
	other.say("other\n")
	other.gets("no")
	reply := r.answer(context.Background(), control.Peer{}, control.Request{Op: control.OpDeadReplay, All: true})
	if reply.Errno != 0 {
		t.Fatalf("replay: %v", reply.Error)
	}
	r.until("a/read", "done", func(c aem.Counts) bool { return c.Done == 2 && c.Failed == 1 })
	if got := strings.Join(seen, ""); got != "first\nother\nfirst\n" {
		t.Errorf("handled %q", got)
	}
}

// TestEmitCopiesWhatItIsLent: a topic's events live longer than the frame that they repeat.
func TestEmitCopiesWhatItIsLent(t *testing.T) {
	at := tcpAddress(t)
	kept := make(chan *aem.Event, 1)
	release := make(chan struct{})
	var got string
	h := builtin("h", "emit", map[string]any{"topic": "a/t"})
	slow := builtin("slow", "keep", nil)
	slow.Agent, slow.Concurrency = executor.Thread, 1
	app := readApp(h, source.Line, at)
	app.Handlers = append(app.Handlers, slow)
	app.Events = append(app.Events, event("t", source.Topic{Name: "a/t"}, "slow"))
	r := startRun(t, func(o *Options) {
		o.Functions = map[string]executor.Function{"keep": func(_ context.Context, e *aem.Event) error {
			kept <- e
			<-release
			got = string(e.Data)
			return nil
		}}
	}, app)
	c := connect(t, "tcp", at)
	c.say("one\n")
	<-kept
	c.say("two\n")
	r.until("a/read", "read", func(c aem.Counts) bool { return c.Done == 2 })
	release <- struct{}{}
	<-kept
	if got != "one\n" {
		t.Errorf("it became %q", got)
	}
	release <- struct{}{}
}

// TestStopAnswersWhatRuns: the reply of what ran when the supervisor was told to stop arrives whole.
func TestStopAnswersWhatRuns(t *testing.T) {
	at := tcpAddress(t)
	began := make(chan struct{})
	long := strings.Repeat("0123456789", 1<<19)
	h, change := function(executor.Thread, func(_ context.Context, e *aem.Event) error {
		close(began)
		time.Sleep(50 * time.Millisecond)
		e.Reply([]byte(long))
		return nil
	})
	r := startRun(t, change, readApp(h, source.Line, at))
	c := connect(t, "tcp", at)
	c.say("x\ny\n")
	<-began
	go r.stop()
	c.gets(long)
	c.gets("")
	r.stop()
}

// TestEchoAllocatesNothing counts what a frame costs in memory, from being read to being answered by a callback.
func TestEchoAllocatesNothing(t *testing.T) {
	for network, frame := range map[string]source.Frame{"tcp": source.Chunk, "udp": source.Datagram} {
		t.Run(network, func(t *testing.T) {
			at := tcpAddress(t)
			at.Scheme = network
			h, change := function(executor.Callback, func(_ context.Context, e *aem.Event) error {
				e.Reply(e.Data)
				return nil
			})
			r := startRun(t, change, readApp(h, frame, at))
			c := connect(t, network, at)
			message := make([]byte, 64)
			turn := func() {
				if _, err := c.Write(message); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(c.Conn, message); err != nil {
					t.Fatal(err)
				}
			}
			const echoes = 2000
			measure := func() float64 {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				for range echoes {
					turn()
				}
				runtime.ReadMemStats(&after)
				return float64(after.Mallocs-before.Mallocs) / echoes
			}
			measure() // what grows has grown
			if allocs := measure(); allocs > 0.1 {
				t.Errorf("%.2f allocations an echo", allocs)
			}
			r.until("a/read", "done", func(c aem.Counts) bool { return c.Done >= 2*echoes })
		})
	}
}

// TestReadySocketGoesToEachLife_R118 has a handler of direct accept from the socket that it is given.
func TestReadySocketGoesToEachLife_R118(t *testing.T) {
	for _, life := range []executor.Life{executor.Cold, executor.Capsule, executor.Resident} {
		t.Run(string(life), func(t *testing.T) {
			at := tcpAddress(t)
			h := role(t, "accept")
			h.Life = life
			r := startRun(t, nil, testApp("a", []executor.Spec{h}, event("ready", source.Ready{Listen: []source.Address{at}}, "h")))
			for n := range 3 {
				c := connect(t, "tcp", at)
				c.gets("welcome")
				c.gets("")
				r.until("a/ready", "done", func(c aem.Counts) bool { return c.Done >= uint64(n+1) })
			}
		})
	}
}
