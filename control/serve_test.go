package control

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/internal/aemtest"
)

func TestMain(m *testing.M) { aemtest.NoLeaks(m) }

// start serves a fresh runtime directory with answer until the test ends.
func start(t *testing.T, answer Answer) (dir string) {
	t.Helper()
	return startPatient(t, answer, messageTime)
}

// startPatient does so with another time for half a message.
func startPatient(t *testing.T, answer Answer, patience time.Duration) (dir string) {
	t.Helper()
	dir = t.TempDir()
	l, err := Listen(dir, 0o600, "")
	if err != nil {
		t.Fatal(err)
	}
	l.patience = patience
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- l.Serve(ctx, answer, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return dir
}

// echo answers with the request's own data and names.
func echo(_ context.Context, peer Peer, req Request) Reply {
	r := Done(map[string]any{"uid": peer.UID, "pid": peer.PID, "topic": req.Topic})
	r.Data = req.Data
	return r
}

func dial(t *testing.T, dir string) *Client {
	t.Helper()
	c, err := Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// raw is a connection for saying what a Client never would.
func raw(t *testing.T, dir string) *net.UnixConn {
	t.Helper()
	u, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: SocketPath(dir), Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = u.Close() })
	return u
}

// refusal reads what the server says before it closes.
func refusal(t *testing.T, u *net.UnixConn) syscall.Errno {
	t.Helper()
	c := newConn(u, time.Minute, nil)
	m, err := c.read()
	if err != nil {
		t.Fatalf("read refusal: %v", err)
	}
	r, err := m.reply()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.read(); !errors.Is(err, io.EOF) {
		t.Errorf("after the refusal: %v, want EOF", err)
	}
	return r.Errno
}

func TestTwoClients(t *testing.T) {
	dir := start(t, echo)
	var both sync.WaitGroup
	for _, c := range []*Client{dial(t, dir), dial(t, dir)} {
		both.Go(func() {
			for _, topic := range []string{"a/b", "c/d", "e/f"} {
				reply, err := c.Do(t.Context(), Request{Op: OpEmit, Topic: topic, Data: []byte(topic)})
				if err != nil {
					t.Errorf("Do: %v", err)
					return
				}
				got, err := ResultOf[struct {
					UID, PID int
					Topic    string
				}](reply)
				if err != nil || got.UID != os.Getuid() || got.PID != os.Getpid() || got.Topic != topic || string(reply.Data) != topic {
					t.Errorf("reply to %s: %+v %q, %v", topic, got, reply.Data, err)
				}
			}
		})
	}
	both.Wait()
}

func TestLongMessages(t *testing.T) {
	dir := start(t, echo)
	c := dial(t, dir)
	for _, size := range []int{1, MaxFrameBytes - headerBytes, MaxFrameBytes, 3*MaxFrameBytes + 17, 8 << 20} {
		data := bytes.Repeat([]byte("0123456789abcde\n"), size/16+1)[:size]
		reply, err := c.Do(t.Context(), Request{Op: OpEmit, Topic: "a/b", Data: data})
		if err != nil || !bytes.Equal(reply.Data, data) {
			t.Errorf("%d bytes: got %d back, %v", size, len(reply.Data), err)
		}
	}
}

func TestRefusals(t *testing.T) {
	dir := start(t, func(context.Context, Peer, Request) Reply { return Refuse(syscall.ENOENT, "no job") })
	c := dial(t, dir)
	for _, row := range []struct {
		name string
		req  Request
		want syscall.Errno
	}{
		{"the answer's own", Request{Op: OpList}, syscall.ENOENT},
		{"no selector", Request{Op: OpStop}, syscall.EINVAL},
		{"all and selector", Request{Op: OpStop, All: true, Selectors: []Selector{{ID: 1 << 32}}}, syscall.EINVAL},
		{"argument not taken", Request{Op: OpList, Topic: "a/b"}, syscall.EINVAL},
		{"bad topic", Request{Op: OpEmit, Topic: "a"}, syscall.EINVAL},
		{"app that is no pattern", Request{Op: OpUsage, Apps: []string{"a/b"}}, syscall.EINVAL},
		{"apps not taken", Request{Op: OpList, Apps: []string{"a"}}, syscall.EINVAL},
		{"all and an app", Request{Op: OpUsage, All: true, Apps: []string{"a"}}, syscall.EINVAL},
		{"priority without one", Request{Op: OpPriority, All: true}, syscall.EINVAL},
		{"filter without one", Request{Op: OpFilter, All: true}, syscall.EINVAL},
		{"unknown", Request{Op: 999}, syscall.ENOSYS},
	} {
		m, err := row.req.message(7)
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.exchange(m) // past the client's own check
		if err == nil && r.Errno == 0 || r.Errno != row.want {
			t.Errorf("%s: %v %q, want %v", row.name, r.Errno, r.Error, row.want)
		}
		if _, err := c.Do(t.Context(), row.req); !errors.Is(err, row.want) {
			t.Errorf("%s: Do: %v, want %v", row.name, err, row.want)
		}
	}
}

func TestGarbageEndsItsConnectionOnly(t *testing.T) {
	dir := start(t, echo)
	good := header{Kind: kindRequest, Op: OpVersion, Sequence: 1}
	other := good.build(nil, nil, nil)
	other[4]++ // the version
	long := make([]byte, MaxFrameBytes+1)
	copy(long, good.build(nil, nil, nil))
	for _, row := range []struct {
		name   string
		frames [][]byte
		want   syscall.Errno
	}{
		{"no header", [][]byte{[]byte("hello")}, syscall.EPROTO},
		{"no magic", [][]byte{make([]byte, headerBytes)}, syscall.EPROTO},
		{"other version", [][]byte{other}, syscall.EPROTONOSUPPORT},
		{"too long", [][]byte{long}, syscall.EMSGSIZE},
		{"other message inside", [][]byte{
			header{Kind: kindRequest, Flags: flagMore, Sequence: 1}.build(nil, []byte("{"), nil),
			header{Kind: kindRequest, Sequence: 2}.build(nil, []byte("}"), nil),
		}, syscall.EPROTO},
	} {
		t.Run(row.name, func(t *testing.T) {
			u := raw(t, dir)
			for _, frame := range row.frames {
				if _, err := u.Write(frame); err != nil {
					t.Fatal(err)
				}
			}
			if got := refusal(t, u); got != row.want {
				t.Errorf("refused with %v, want %v", got, row.want)
			}
		})
	}
	if _, err := dial(t, dir).Do(t.Context(), Request{Op: OpVersion}); err != nil {
		t.Errorf("after the garbage: %v", err)
	}
}
