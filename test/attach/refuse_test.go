package attach

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/handler"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/sys"
)

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func unmarshal(s string, v any) error { return json.Unmarshal([]byte(s), v) }

func nothing(context.Context, *handler.Event) error { return nil }

// TestRefusedRegistrations: each names its key or its limit, and leaves nothing behind.
func TestRefusedRegistrations_R058_R064_R080(t *testing.T) {
	w := serve(t, files)
	a := w.attach("a")
	for _, c := range []struct {
		name  string
		event table
		count int
		errno syscall.Errno
		want  string
	}{
		{"e", table{"type": "timer", "every": 2}, 0, syscall.EINVAL, `e.every: want a duration like "2s"`},
		{"e", table{"type": "timer", "every": "1s", "evry": 1}, 0, syscall.EINVAL, `unknown key "evry" (did you mean every?)`},
		{"e", table{"type": "timr"}, 0, syscall.EINVAL, `unknown type "timr" (did you mean timer?)`},
		{"e", table{"type": "timer"}, 0, syscall.EINVAL, "exactly one of after, every, at, cron"},
		{"e", table{"type": "timer", "every": "1s", "handler": "x"}, 0, syscall.EINVAL, "handler is for the file"},
		{"e", table{"type": "timer", "every": nil}, 0, syscall.EINVAL, "null"},
		{"e", table{"type": "timer", "every": "1s", "priority": 21}, 0, syscall.EPERM, "priority_max"},
		{"e", table{"type": "socket.accept", "listen": "unix:@x", "arrivals": "merge"}, 0, syscall.EINVAL, "e: events of type socket.accept cannot be merged"},
		{"e", table{"type": "file", "path": "relative"}, 0, syscall.EINVAL, "absolute"},
		{"E", table{"type": "topic"}, 0, syscall.EINVAL, `"E"`},
		{"e", table{"type": "topic"}, control.MaxJobsAtOnce + 1, syscall.EINVAL, "65536"},
		{"e", table{"type": "topic"}, 2001, syscall.EDQUOT, "jobs = 2000"},
		{"e", nil, 0, syscall.EINVAL, "null is no value"},
	} {
		_, err := a.RegisterAll(t.Context(), handler.Registration{Name: "good", Event: table{"type": "topic"}},
			handler.Registration{Name: c.name, Event: c.event, Count: c.count})
		if err == nil || errno(err) != c.errno || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %v: %v (%v), want %v and %q", c.name, c.event, err, errno(err), c.errno, c.want)
		}
	}
	if n := len(w.jobs()); n != 0 {
		t.Errorf("%d jobs are left", n)
	}
}

// TestRefusedAttach looks at who does not become an agent, and why.
func TestRefusedAttach_R080_R103(t *testing.T) {
	w := serve(t, files)
	w.attach("b")
	for _, c := range []struct {
		app   string
		opts  []handler.Option
		errno syscall.Errno
		want  string
	}{
		{"x", nil, syscall.ENOENT, `no app "x"`},
		{"b", nil, syscall.EAGAIN, "processes = 1"},
		{"c", nil, syscall.EPERM, "limits.agents"},
		{"a", []handler.Option{handler.Settings(table{"exec": []string{"x"}})}, syscall.EINVAL, "handler: exec is for programs that are started"},
		{"a", []handler.Option{handler.Settings(table{"arena": table{"copy": "no"}})}, syscall.EINVAL, `handler.arena.copy: "no" is not one of`},
		{"a", []handler.Option{handler.Token("guessed")}, syscall.EPERM, "token"},
	} {
		a, err := handler.Attach(t.Context(), c.app, append([]handler.Option{settings(table{}), handler.RuntimeDir(w.dir)}, c.opts...)...)
		if err == nil {
			a.Close()
		}
		if errno(err) != c.errno || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v (%v), want %v and %q", c.app, err, errno(err), c.errno, c.want)
		}
	}
	if _, err := w.ask(control.Request{Op: control.OpRegister, Events: []control.Registration{{Name: "e", Event: []byte("{}")}}}); errno(err) != syscall.ENOTCONN {
		t.Errorf("register without attach: %v", err)
	}
}

// TestSilentProgramIsDetached: one that says no hello in its time, or that does not answer in it, is no agent any more.
func TestSilentProgramIsDetached(t *testing.T) {
	w := serve(t, files)
	c, err := control.Dial(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // a test's
	reply, err := c.Do(t.Context(), control.Request{Op: control.OpAttach, App: "a", Handler: []byte(`{"ready_timeout":"50ms","arena":{"copy":"shared"}}`)})
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range reply.FDs {
		defer sys.Close(fd) //nolint:errcheck // a test's
	}
	w.await("no hello", func() bool { return strings.Contains(w.logs.String(), "it said no hello within 50ms") })
	if _, err := c.Do(t.Context(), control.Request{Op: control.OpVersion}); err == nil {
		t.Error("its connection is still served")
	}

	a := w.attach("a", settings(table{"timeout": "50ms"}))
	id, err := a.Register(t.Context(), "news", table{"type": "topic", "start": true}, nothing)
	if err != nil {
		t.Fatal(err)
	}
	if f := w.emit("a/news", "x"); len(f) != 1 || f[0].Outcome != "shed" {
		t.Errorf("fate %+v", f)
	}
	w.await("it ran too long", func() bool { return strings.Contains(w.logs.String(), "it ran longer than 50ms") })
	if err := a.Start(t.Context(), id); err == nil {
		t.Error("it is an agent still")
	}
}

// TestIDs: many in one message, stale ones, ids of others, all of one's own, and events of each registration told apart.
func TestIDs_R058_R059_R060_R065(t *testing.T) {
	w := serve(t, files)
	a, other := w.attach("a"), w.attach("a")
	calls := map[aem.JobID]int{}
	count := func(_ context.Context, e *handler.Event) error { calls[e.Job]++; return nil }
	made, err := a.RegisterAll(t.Context(),
		handler.Registration{Name: "news", Event: table{"type": "topic"}, Count: 3, Do: count},
		handler.Registration{Name: "news", Event: table{"type": "topic"}, Do: count})
	if err != nil {
		t.Fatal(err)
	}
	ids := append(made[0], made[1]...)
	theirs, err := other.Register(t.Context(), "news", table{"type": "topic"}, nothing)
	if err != nil {
		t.Fatal(err)
	}
	if f := len(w.jobs()); f != 5 {
		t.Errorf("%d jobs", f)
	}
	if err := a.Start(t.Context(), ids...); err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context(), ids[0], ids[0]); err != nil {
		t.Errorf("the same twice: %v", err)
	}
	done := make(chan []control.Fate)
	go func() { done <- w.emit("a/news", "x") }()
	w.handle(a, func() bool { return len(calls) == 4 })
	if f := <-done; len(f) != 4 {
		t.Errorf("fates %+v", f)
	}
	if err := a.Remove(t.Context(), ids[1], ids[1]); err != nil {
		t.Error(err)
	}
	if err := a.Start(t.Context(), ids[0], ids[1]); errno(err) != syscall.ENOENT || !strings.Contains(err.Error(), ids[1].String()) {
		t.Errorf("a stale id: %v", err)
	}
	reply, err := a.Do(t.Context(), control.Request{Op: control.OpRemove, Own: true, Quiet: true})
	if err != nil {
		t.Fatal(err)
	}
	if acted, err := control.ResultOf[control.Acted](reply); err != nil || acted.Jobs != 3 {
		t.Errorf("removed %+v, %v", acted, err)
	}
	if jobs := w.jobs(); len(jobs) != 1 || jobs[0].ID != theirs {
		t.Errorf("left are %s", text(jobs))
	}
}

// TestTwoMillionAreRefusedAtTheLimit asks for far more than the app may have, as fast as it can.
func TestTwoMillionAreRefusedAtTheLimit_R100(t *testing.T) {
	w := serve(t, files)
	a := w.attach("a")
	registered, refused, all := 0, 0, 500*aemtest.Few(4000)
	for range all / 500 {
		_, err := a.RegisterAll(t.Context(), handler.Registration{Name: "t", Event: table{"type": "timer", "after": "1h"}, Count: 500})
		switch {
		case err == nil:
			registered += 500
		case errno(err) == syscall.EDQUOT && strings.Contains(err.Error(), "jobs = 2000"):
			refused += 500
		default:
			t.Fatal(err)
		}
	}
	if registered != 2000 || registered+refused != all {
		t.Errorf("%d registered, %d refused", registered, refused)
	}
}

// TestOperationsRaceCompletion starts, stops, cleans and removes jobs while their events come and end.
func TestOperationsRaceCompletion(t *testing.T) {
	w := serve(t, files)
	a := w.attach("a", handler.InFlight(16))
	ctx, cancel := context.WithTimeout(t.Context(), aemtest.Slow(time.Second))
	defer cancel()
	var workers sync.WaitGroup
	defer workers.Wait()
	for range 4 {
		workers.Go(func() {
			for ctx.Err() == nil {
				made, err := a.RegisterAll(t.Context(), handler.Registration{Name: "t", Event: table{"type": "timer", "every": "1ms", "first": "now", "start": true}, Count: 20, Do: nothing})
				if err != nil {
					t.Error(err)
					return
				}
				for _, op := range []control.Op{control.OpStop, control.OpStart, control.OpClean, control.OpFire, control.OpRemove} {
					req := control.Request{Op: op}
					for _, id := range made[0] {
						req.Selectors = append(req.Selectors, control.Selector{ID: id})
					}
					if _, err := a.Do(t.Context(), req); err != nil && errno(err) != syscall.EAGAIN {
						t.Errorf("%v: %v", op, err)
					}
				}
			}
		})
	}
	for ctx.Err() == nil {
		if _, err := a.Dispatch(); err != nil {
			t.Fatal(err)
		}
	}
	workers.Wait()
	w.await("no job is left", func() bool { return len(w.jobs()) == 0 })
	if f := w.logs.String(); strings.Contains(f, "level=ERROR") {
		t.Error("the log has errors")
	}
}

// TestOwnLoop waits for events in an epoll instance of the program's own.
func TestOwnLoop_R007_R184(t *testing.T) {
	w := serve(t, files)
	a := w.attach("a")
	handled := 0
	if _, err := a.Register(t.Context(), "news", table{"type": "topic", "start": true}, func(context.Context, *handler.Event) error { handled++; return nil }); err != nil {
		t.Fatal(err)
	}
	loop, err := sys.EpollCreate()
	if err == nil {
		defer sys.Close(loop) //nolint:errcheck // a test's
		err = sys.EpollAdd(loop, a.FD(), sys.EPOLLIN, 7)
	}
	if err != nil {
		t.Fatal(err)
	}
	for round := 1; round <= 50; round++ {
		if n, err := a.Dispatch(); n != 0 || err != nil {
			t.Fatalf("%d events before any, %v", n, err)
		}
		done := make(chan []control.Fate)
		go func() { done <- w.emit("a/news", "x") }()
		var ready [1]sys.EpollEvent
		for handled < round {
			if n, err := sys.EpollWait(loop, ready[:], patience); err != nil || n != 1 {
				t.Fatalf("round %d: %d ready, %v", round, n, err)
			}
			if _, err := a.Dispatch(); err != nil {
				t.Fatal(err)
			}
		}
		<-done
	}
}

// TestProgramsComeAndGo has hundreds of programs attach, register and go, some of them in the middle of that.
func TestProgramsComeAndGo(t *testing.T) {
	w := serve(t, files)
	var crowd sync.WaitGroup
	for range 8 {
		crowd.Go(func() {
			for i := range aemtest.Few(40) {
				a, err := handler.Attach(t.Context(), "a", settings(table{}), handler.RuntimeDir(w.dir))
				if err != nil {
					t.Error(err)
					return
				}
				if i%2 == 0 {
					_, err = a.RegisterAll(t.Context(), handler.Registration{Name: "t", Event: table{"type": "timer", "every": "1ms", "start": true}, Count: 10, Do: nothing})
				}
				if err != nil {
					t.Error(err)
				}
				a.Close()
			}
		})
	}
	crowd.Wait()
	w.await("nothing is left of them", func() bool { return len(w.jobs()) == 0 })
}
