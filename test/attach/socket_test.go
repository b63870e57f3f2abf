package attach

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/handler"
)

// TestOwnSockets has a program's own sockets waited for: it accepts and reads itself, when it is told, and is told when a
// peer ends.
func TestOwnSockets_R114_R115_R116_R118(t *testing.T) {
	w := serve(t, files)
	a := w.attach("a", handler.InFlight(4))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // a test's
	ctx := t.Context()
	var told []string
	register := func(name string, s syscall.Conn, on []string, f handler.Func) aem.JobID {
		t.Helper()
		made, err := a.RegisterAll(ctx, handler.Registration{Name: name, Event: table{"type": "socket.ready", "start": true}, Socket: s, On: on, Do: f})
		if err != nil {
			t.Fatal(err)
		}
		return made[0][0]
	}
	read := func(c *net.TCPConn) handler.Func {
		return func(_ context.Context, e *handler.Event) error {
			var b [100]byte
			n, err := c.Read(b[:])
			told = append(told, "read "+string(b[:n])+" "+e.Fact("conditions"))
			if errors.Is(err, io.EOF) {
				return a.Remove(ctx, e.Job)
			}
			return err
		}
	}
	register("accept", l.(*net.TCPListener), nil, func(_ context.Context, e *handler.Event) error {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		t.Cleanup(func() { c.Close() }) //nolint:errcheck // a test's
		told = append(told, "accepted "+e.Fact("conditions"))
		register("close", c.(*net.TCPConn), []string{"hup"}, func(_ context.Context, e *handler.Event) error {
			told = append(told, "closed "+e.Fact("conditions"))
			return a.Remove(ctx, e.Job)
		})
		register("read", c.(*net.TCPConn), nil, read(c.(*net.TCPConn)))
		return nil
	})
	if _, err := a.Dispatch(); err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close() //nolint:errcheck // a test's
	heard := func(what string) {
		t.Helper()
		w.handle(a, func() bool { return strings.Contains(strings.Join(told, "\n"), what) })
	}
	heard("accepted in")
	for _, s := range []string{"one", "two"} {
		if _, err := io.WriteString(client, s); err != nil {
			t.Fatal(err)
		}
		heard("read " + s + " in")
	}
	client.Close() //nolint:errcheck // that is the end to be told
	heard("closed ")
	heard("read  in")
	w.await("its jobs are gone", func() bool { return len(w.jobs()) == 1 })
	if job := w.jobs()[0]; job.Event != "accept" || job.Counts.Done != 1 {
		t.Errorf("left is %s", text(job))
	}
}

// TestOwnSocketIsNotTouched: what the program says of its socket stays as it is, and its end is as if nobody waited.
func TestOwnSocketIsNotTouched(t *testing.T) {
	w := serve(t, files)
	a := w.attach("a")
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0) // which blocks
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(ends[0]), "own")
	defer f.Close() //nolint:errcheck // a test's
	handled := 0
	made, err := a.RegisterAll(t.Context(), handler.Registration{Name: "s", Event: table{"type": "socket.ready", "start": true, "once": true},
		Socket: f, On: []string{"in", "out"}, Do: func(_ context.Context, e *handler.Event) error { handled++; return nil }})
	if err != nil {
		t.Fatal(err)
	}
	w.handle(a, func() bool { return handled == 1 })
	flags, _, _ := syscall.Syscall(syscall.SYS_FCNTL, f.Fd(), syscall.F_GETFL, 0)
	if flags&syscall.O_NONBLOCK != 0 {
		t.Error("it does not block any more")
	}
	if err := a.Remove(t.Context(), made[0][0]); err != nil {
		t.Fatal(err)
	}
	f.Close() //nolint:errcheck // its last copy but the supervisor's, if that had one still
	var b [1]byte
	if n, err := syscall.Read(ends[1], b[:]); n != 0 || err != nil {
		t.Errorf("the other end reads %d, %v, want its end", n, err)
	}
	syscall.Close(ends[1]) //nolint:errcheck // a test's
}

// TestRefusedSockets: what is no socket of ours to wait for, and what does not go with one. Nothing is kept of them.
func TestRefusedSockets(t *testing.T) {
	w := serve(t, files)
	a := w.attach("a")
	l, err := net.Listen("unix", w.dir+"/own")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // a test's
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close() //nolint:errcheck // a test's
	own := l.(*net.UnixListener)
	for _, c := range []struct {
		r     handler.Registration
		errno syscall.Errno
		want  string
	}{
		{handler.Registration{Event: table{"type": "socket.ready"}, Socket: null}, syscall.EINVAL, "no socket"},
		{handler.Registration{Event: table{"type": "socket.accept"}, Socket: own}, syscall.EINVAL, "socket.ready is"},
		{handler.Registration{Event: table{"type": "socket.ready", "listen": "unix:@x"}, Socket: own}, syscall.EINVAL, "listen is for sockets that the supervisor makes"},
		{handler.Registration{Event: table{"type": "socket.ready"}, Socket: own, On: []string{"err"}}, syscall.EINVAL, `condition "err"`},
		{handler.Registration{Event: table{"type": "socket.ready"}, Socket: own, Count: 2}, syscall.EINVAL, "one job"},
		{handler.Registration{Event: table{"type": "socket.ready"}, On: []string{"in"}}, syscall.EINVAL, "for a socket"},
		{handler.Registration{Event: table{"type": "socket.ready"}}, syscall.EINVAL, "listen is missing"},
	} {
		c.r.Name = "s"
		_, err := a.RegisterAll(t.Context(), handler.Registration{Name: "good", Event: table{"type": "socket.ready"}, Socket: own}, c.r)
		if errno(err) != c.errno || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v (%v), want %v and %q", c.r.Event, err, errno(err), c.errno, c.want)
		}
	}
	if _, err := a.Do(t.Context(), control.Request{Op: control.OpRegister, Events: []control.Registration{{Name: "s", Socket: new(int)}}}); errno(err) != syscall.EBADF {
		t.Errorf("without its descriptor: %v", err)
	}
	if jobs := w.jobs(); len(jobs) != 0 {
		t.Errorf("left are %s", text(jobs))
	}
}
