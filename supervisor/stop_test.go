package supervisor

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/source"
)

// TestStoppedJobsClientsWaitOrAreRefused_R073 stops jobs that clients come to: who comes waits in the kernel, and is served
// when the job is started; after a stop that closes, who comes is refused, and start opens the sockets again.
func TestStoppedJobsClientsWaitOrAreRefused_R073(t *testing.T) {
	welcome := func(_ context.Context, e *aem.Event) error {
		e.Reply([]byte("welcome"))
		return nil
	}
	cases := map[string]struct {
		make func(*testing.T) (executor.Spec, func(*Options))
		spec func(...source.Address) source.Spec
		says string
	}{
		"accept": {
			func(*testing.T) (executor.Spec, func(*Options)) {
				h := handler("h", "/bin/echo", "-n", "welcome")
				h.Handover = executor.Socket
				return h, nil
			},
			func(at ...source.Address) source.Spec { return source.Accept{Listen: at} }, "",
		},
		"ready": {
			func(t *testing.T) (executor.Spec, func(*Options)) { return role(t, "accept"), nil },
			func(at ...source.Address) source.Spec { return source.Ready{Listen: at} }, "",
		},
		"read": {
			func(*testing.T) (executor.Spec, func(*Options)) { return function(executor.Callback, welcome) },
			func(at ...source.Address) source.Spec {
				return source.Read{Listen: at, Frame: source.Chunk, MaxBytes: 1 << 10, Connections: 10}
			}, "hello",
		},
	}
	for name, of := range cases {
		t.Run(name, func(t *testing.T) {
			at := tcpAddress(t)
			h, change := of.make(t)
			r := startRun(t, change, testApp("a", []executor.Spec{h}, event("e", of.spec(at), "h")))
			done := func(req control.Request) {
				t.Helper()
				if err := r.evctl("a/e", req).Err(); err != nil {
					t.Fatal(err)
				}
			}
			start, stop, end := control.Request{Op: control.OpStart}, control.Request{Op: control.OpStop}, control.Request{Op: control.OpStop, Close: true}
			detected := uint64(0)
			comes := func() client {
				t.Helper()
				c := connect(t, "tcp", at)
				c.say(of.says)
				if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
					t.Fatal(err)
				}
				return c
			}
			served := func(c client) {
				t.Helper()
				c.gets("welcome")
				c.gets("")
				detected++
				r.until("a/e", "done", func(c aem.Counts) bool { return c.Done == detected && c.Detected == detected })
			}
			refused := func() {
				t.Helper()
				if c, err := net.Dial("tcp", at.IP.String()); !errors.Is(err, syscall.ECONNREFUSED) {
					t.Fatalf("a client is not refused: %v, %v", c, err)
				}
			}
			served(comes())
			done(stop)
			done(stop)
			waits := comes()
			for range 4 { // turns of the loop, in which it would be detected
				r.ask(func() {})
			}
			if c := r.counts("a/e"); c.Detected != detected {
				t.Errorf("a stopped job detects: %+v", c)
			}
			done(start)
			served(waits)
			done(end)
			refused()
			done(start)
			served(comes())
			done(stop) // and what is open then
			done(end)
			refused()
			done(start)
			served(comes())
			done(stop)
			done(control.Request{Op: control.OpRemove})
			refused()
		})
	}
}

// TestStoppedJobsDatagramsWait_R073 has datagrams come to a stopped job: they wait as connections do, and go no further
// than the app's limits when it is started.
func TestStoppedJobsDatagramsWait_R073(t *testing.T) {
	at := source.Address{Scheme: "udp", IP: tcpAddress(t).IP}
	h, change := function(executor.Callback, upper)
	app := testApp("a", []executor.Spec{h}, event("e", source.Read{Listen: []source.Address{at}, Frame: source.Datagram, MaxBytes: 1 << 10, Connections: 1}, "h"))
	app.Limits.Activations = 2
	r := startRun(t, change, app)
	c := connect(t, "udp", at)
	r.evctl("a/e", control.Request{Op: control.OpStop})
	for range 10 {
		c.say("hello")
	}
	for range 4 {
		r.ask(func() {})
	}
	if c := r.counts("a/e"); c.Detected != 0 {
		t.Errorf("a stopped job detects: %+v", c)
	}
	r.evctl("a/e", control.Request{Op: control.OpStart})
	for range 10 {
		c.gets("HELLO")
	}
	r.evctl("a/e", control.Request{Op: control.OpStop, Close: true})
	c.say("hello")
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a datagram is not refused: %v", err)
	}
}
