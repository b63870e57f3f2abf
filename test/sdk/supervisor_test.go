package sdk

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/limits"
	"github.com/aem-exec/aem-exec/policy"
	"github.com/aem-exec/aem-exec/source"
	"github.com/aem-exec/aem-exec/supervisor"
)

// handler is a handler of direct with all defaults, but that it waits less between attempts.
func handler(t *testing.T, life executor.Life, command []string) executor.Spec {
	t.Helper()
	short := executor.Backoff{First: 10 * time.Millisecond, Factor: 2, Max: time.Second, Jitter: 0.1}
	return executor.Spec{
		Name: "h", Agent: executor.Process, Exec: command, Life: life, Handover: executor.Direct, Size: 2, Concurrency: 4,
		Dir: "/", Env: environment(t), Umask: 0o022, Timeout: patience, ReadyTimeout: patience, KillAfter: patience,
		Leftover: executor.KillLeftover, Success: []int{0}, Retries: 3, Backoff: short, Restart: short,
		ArenaSize: 1 << 20, ArenaMax: 64 << 20,
	}
}

// client is a client of a supervisor that runs.
type client struct {
	*control.Client
	t   *testing.T
	log *aemtest.Log
	dir string // where the control socket is
}

// run runs a supervisor with one app, a, of one event, e, and its handler, until the test ends.
func run(t *testing.T, src source.Spec, h executor.Spec, changes ...func(*supervisor.App)) client {
	t.Helper()
	log := new(aemtest.Log)
	ready := make(chan struct{})
	dir := t.TempDir()
	app := supervisor.App{
		Confinement: policy.Confinement{Namespaces: []policy.Namespace{}}, // the pids that handlers tell are ours to signal
		Name:        "a", Start: true, Handlers: []executor.Spec{h},
		Limits: limits.Limits{Jobs: 10, Activations: 100, QueueBytes: 64 << 20, PriorityMax: 15, Swap: -1},
		Events: []supervisor.Registration{{Name: "e", Source: src, Handlers: []string{"h"}, Priority: aem.PriorityDefault,
			Start: true, Full: supervisor.HoldFull}},
	}
	for _, change := range changes {
		change(&app)
	}
	s, err := supervisor.New(supervisor.Options{
		RuntimeDir: dir, StateDir: t.TempDir(), Grace: patience, DeadLetters: 100, Control: supervisor.Control{Mode: 0o600},
		Logger: slog.New(slog.NewTextHandler(log, nil)),
		Ready:  func(int, int, string) { close(ready) },
		Apps:   []supervisor.App{app},
	})
	check(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
		if t.Failed() {
			t.Logf("log:\n%s", log)
		}
	})
	<-ready
	c, err := control.Dial(dir)
	check(t, err)
	t.Cleanup(func() { c.Close() })
	return client{c, t, log, dir}
}

// ask sends a request and reads its reply.
func ask[T any](c client, r control.Request) T {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	reply, err := c.Do(ctx, r)
	check(c.t, err)
	result, err := control.ResultOf[T](reply)
	check(c.t, err)
	return result
}

// emit publishes data to the topic a/e and returns its fate.
func (c client) emit(data []byte) control.Fate {
	c.t.Helper()
	emitted := ask[control.Emitted](c, control.Request{Op: control.OpEmit, Topic: "a/e", Data: data, Wait: true})
	if len(emitted.Fates) != 1 {
		c.t.Fatalf("emitted %+v", emitted)
	}
	return emitted.Fates[0]
}

// lastLetter is the newest dead letter.
func (c client) lastLetter() control.Letter {
	c.t.Helper()
	letters := ask[[]control.Letter](c, control.Request{Op: control.OpDeadList, All: true})
	if len(letters) == 0 {
		c.t.Fatal("no dead letters")
	}
	return letters[len(letters)-1]
}

// done waits until the books say that n events are done, and nothing else happened.
func (c client) done(n uint64) {
	c.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		counts := ask[[]aem.JobStatus](c, control.Request{Op: control.OpList})[0].Counts
		if counts == (aem.Counts{Detected: n, Done: n}) {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("books %+v, want %d done", counts, n)
		}
	}
}

// TestEcho_R085_R090 has the echo examples serve TCP in each life.
func TestEcho_R085_R090(t *testing.T) {
	for _, example := range []struct {
		language
		source string
	}{{c, "../../examples/handlers/echo-c/echo.c"}, {python, "../../examples/handlers/echo-py/echo.py"}} {
		for _, life := range []executor.Life{executor.Cold, executor.Capsule, executor.Resident, executor.Zygote} {
			t.Run(example.name+"/"+string(life), func(t *testing.T) {
				aemtest.Require(t, example.needs...)
				addr := freeAddress(t)
				client := run(t, source.Accept{Listen: []source.Address{addr}}, handler(t, life, example.command(t, example.source)))
				const connections = 12
				var clients sync.WaitGroup
				for i := range connections {
					clients.Go(func() {
						if err := echo(addr.IP.String(), strings.Repeat(fmt.Sprintf("line %d\n", i), 20_000)); err != nil {
							t.Errorf("connection %d: %v", i, err)
						}
					})
				}
				clients.Wait()
				client.done(connections)
			})
		}
	}
}

// freeAddress is a port of loopback that nobody listens on.
func freeAddress(t *testing.T) source.Address {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	addr, err := source.ParseAddress("tcp://" + l.Addr().String())
	check(t, err)
	return addr
}

// echo sends text while it reads, and wants it back.
func echo(addr, text string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(c, text)
		c.(*net.TCPConn).CloseWrite()
		sent <- err
	}()
	got, err := io.ReadAll(c)
	if sendErr := <-sent; err == nil {
		err = sendErr
	}
	if err == nil && string(got) != text {
		err = fmt.Errorf("got %d bytes, want the %d sent", len(got), len(text))
	}
	return err
}

// eachLife runs a test with the teller of each language as a resident, and as a zygote.
func eachLife(t *testing.T, test func(t *testing.T, teller []string, life executor.Life)) {
	forEach(t, func(t *testing.T, teller []string) {
		for _, life := range []executor.Life{executor.Resident, executor.Zygote} {
			t.Run(string(life), func(t *testing.T) { test(t, teller, life) })
		}
	})
}

// TestFatesInBooks_R092 has handlers in each language decide what becomes of their events.
func TestFatesInBooks_R092(t *testing.T) {
	eachLife(t, func(t *testing.T, teller []string, life executor.Life) {
		client := run(t, source.Topic{Name: "a/e"}, handler(t, life, teller))
		begin := time.Now()
		for _, data := range []string{"done", "third", "second"} {
			if fate := client.emit([]byte(data)); fate.Outcome != "done" {
				t.Errorf("%s: fate %+v", data, fate)
			}
		}
		if took := time.Since(begin); took < 300*time.Millisecond {
			t.Errorf("a retry after 300 ms came within %v", took)
		}
		for _, test := range []struct {
			data, reason, failure string
			attempts              int
		}{
			{"fail", "handler", "gave up", 1},
			{"retry", "handler", "not yet", 4},
			{"die", "exit", "exit=3", 4},
			{"", "handler", sum(nil), 1},
			{strings.Repeat("k", 1<<10), "handler", sum([]byte(strings.Repeat("k", 1<<10))), 1},
			{strings.Repeat("m", 900<<10), "handler", sum([]byte(strings.Repeat("m", 900<<10))), 1},
		} {
			if fate := client.emit([]byte(test.data)); fate.Outcome != "failed" || string(fate.Reason) != test.reason {
				t.Errorf("%.10q: fate %+v", test.data, fate)
			}
			letter := client.lastLetter()
			if letter.Attempts != test.attempts || !strings.Contains(letter.Failure, test.failure) || letter.Size != len(test.data) {
				t.Errorf("%.10q: letter %+v, want %d attempts, %q", test.data, letter, test.attempts, test.failure)
			}
		}
	})
}

// TestFactsAndTimes reads what an event is from what its handler says of it.
func TestFactsAndTimes(t *testing.T) {
	forEach(t, func(t *testing.T, teller []string) {
		client := run(t, source.Topic{Name: "a/e"}, handler(t, executor.Cold, teller))
		begin := time.Now()
		client.emit([]byte("facts"))
		letter := client.lastLetter()
		_, said, _ := strings.Cut(letter.Failure, "err=")
		var attempt, count, priority, at, deadline int64
		var id, job uint64
		var names string
		said = strings.ReplaceAll(said[strings.IndexAny(said, "0123456789"):], " h topic", "/h/topic")
		if _, err := fmt.Sscan(said, &id, &job, &attempt, &count, &priority, &at, &deadline, &names); err != nil {
			t.Fatalf("it said %q: %v", said, err)
		}
		detected, due := time.Unix(0, at), time.Unix(0, deadline)
		if attempt != 1 || count != 1 || priority != int64(aem.PriorityDefault) || names != "a" {
			t.Errorf("it said %q", said)
		}
		if slack := time.Millisecond; detected.Before(begin.Add(-slack)) || detected.After(time.Now()) || due.Sub(detected) < patience-slack {
			t.Errorf("detected %v, due %v, emitted %v", detected, due, begin)
		}
		if !strings.Contains(said, " a e/h/topic a/e -") {
			t.Errorf("it said %q", said)
		}
	})
}

// directIO is that files in a test's folder can be written from memory by the device itself.
func directIO(dir string) aemtest.Feature {
	return aemtest.Feature{Name: "O_DIRECT in " + dir, Probe: func() error {
		f, err := os.OpenFile(filepath.Join(dir, "probe"), os.O_CREATE|os.O_WRONLY|syscall.O_DIRECT, 0o600)
		if err == nil {
			f.Close()
			err = os.Remove(f.Name())
		}
		return err
	}}
}

// TestSpool_R089_R091 has events land where the kernel's direct input and output takes them from.
func TestSpool_R089_R091(t *testing.T) {
	dir := t.TempDir()
	aemtest.Require(t, aemtest.CC, directIO(dir))
	h := handler(t, executor.Resident, append(c.command(t, spool), dir))
	h.Size, h.Alloc, h.ArenaSize = 1, executor.AppAlloc, 4<<20
	client := run(t, source.Topic{Name: "a/e"}, h)
	for _, size := range []int{0, 1, 4096, 100_000, 900 << 10} {
		want := bytes.Repeat([]byte("0123456789a"), size/11+1)[:size]
		emitted := ask[control.Emitted](client, control.Request{Op: control.OpEmit, Topic: "a/e", Data: want, Wait: true})
		if got, err := os.ReadFile(filepath.Join(dir, emitted.ID.String())); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: %d in the file, %v; fate %+v", size, len(got), err, emitted.Fates)
		}
	}
}

// TestOrder runs the example: an order is done, what is none is failed at once.
func TestOrder(t *testing.T) {
	aemtest.Require(t, aemtest.Python)
	example := "../../examples/handlers/order-py/order.py"
	h := handler(t, executor.Resident, python.command(t, example))
	delete(h.Env, "PYTHONPATH")
	client := run(t, source.Topic{Name: "a/e"}, h)
	if fate := client.emit([]byte(`{"sku": 7}`)); fate.Outcome != "done" {
		t.Errorf("fate %+v", fate)
	}
	if fate := client.emit([]byte(`no JSON`)); fate.Outcome != "failed" || !strings.Contains(client.lastLetter().Failure, "not an order: JSONDecodeError(") {
		t.Errorf("fate %+v, letter %+v", fate, client.lastLetter())
	}
}
