package control

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const shortTime = 200 * time.Millisecond

func TestHalfWrittenMessageTimesOut(t *testing.T) {
	dir := startPatient(t, echo, shortTime)
	u := raw(t, dir)
	if _, err := u.Write(header{Kind: kindRequest, Op: OpEmit, Flags: flagMore}.build(nil, []byte("{"), nil)); err != nil {
		t.Fatal(err)
	}
	if got := refusal(t, u); got != syscall.ETIMEDOUT {
		t.Errorf("refused with %v, want ETIMEDOUT", got)
	}
}

func TestIdleClientStays(t *testing.T) {
	dir := startPatient(t, echo, shortTime)
	idle := dial(t, dir)
	other := raw(t, dir)
	_, _ = other.Write(header{Kind: kindRequest, Op: OpEmit, Flags: flagMore}.build(nil, []byte("{"), nil))
	refusal(t, other) // by now the patience for half a message has passed once
	if _, err := idle.Do(t.Context(), Request{Op: OpVersion}); err != nil {
		t.Errorf("after being idle for longer than %v: %v", shortTime, err)
	}
}

func TestClientThatNeverReads(t *testing.T) {
	ended := make(chan bool)
	dir := startPatient(t, func(ctx context.Context, _ Peer, req Request) Reply {
		if req.Op == OpVersion {
			return Done("fine")
		}
		context.AfterFunc(ctx, func() { close(ended) })
		return Reply{Data: make([]byte, 4<<20)}
	}, shortTime)
	c := dial(t, dir)
	m, _ := Request{Op: OpList}.message(1)
	if err := c.conn.write(m, time.Minute); err != nil {
		t.Fatal(err)
	}
	<-ended // the server gave up by itself: this client is still there and has read nothing
	if _, err := dial(t, dir).Do(t.Context(), Request{Op: OpVersion}); err != nil {
		t.Errorf("another client: %v", err)
	}
}

func TestGoneClientEndsItsRequest(t *testing.T) {
	asked, ended := make(chan bool), make(chan bool)
	dir := start(t, func(ctx context.Context, _ Peer, _ Request) Reply {
		close(asked)
		<-ctx.Done()
		close(ended)
		return Reply{}
	})
	ctx, cancel := context.WithCancel(t.Context())
	c := dial(t, dir)
	var client sync.WaitGroup
	client.Go(func() {
		if _, err := c.Do(ctx, Request{Op: OpEmit, Topic: "a/b", Wait: true}); !errors.Is(err, context.Canceled) {
			t.Errorf("Do: %v, want canceled", err)
		}
	})
	<-asked
	cancel()
	<-ended
	client.Wait()
}

func TestServerStopsWhileAnswering(t *testing.T) {
	dir := t.TempDir()
	l, err := Listen(dir, 0o600, "")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- l.Serve(ctx, func(ctx context.Context, _ Peer, _ Request) Reply {
			stop()
			<-ctx.Done()
			return Done("bye")
		}, slog.New(slog.DiscardHandler))
	}()
	idle := dial(t, dir)
	reply, err := dial(t, dir).Do(t.Context(), Request{Op: OpVersion})
	if err != nil || string(reply.Result) != `"bye"` {
		t.Errorf("reply %s, %v: what is being answered is answered", reply.Result, err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := idle.Do(t.Context(), Request{Op: OpVersion}); err == nil {
		t.Error("an idle connection outlived the server")
	}
}

func TestManyConnections(t *testing.T) {
	dir := start(t, echo)
	ask := func(c *Client) error {
		_, err := c.Do(t.Context(), Request{Op: OpVersion})
		return err
	}
	clients := make([]*Client, maxConnections)
	for i := range clients {
		clients[i] = dial(t, dir)
		if err := ask(clients[i]); err != nil {
			t.Fatalf("connection %d: %v", i+1, err)
		}
	}
	if err := ask(dial(t, dir)); !errors.Is(err, syscall.EAGAIN) {
		t.Errorf("connection %d: %v, want EAGAIN", maxConnections+1, err)
	}
	_ = clients[0].Close()
	for deadline := time.Now().Add(10 * time.Second); ; {
		err := ask(dial(t, dir))
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after one left: %v", err)
		}
	}
}

func TestSecondInstanceIsRefused(t *testing.T) {
	dir := start(t, echo)
	if _, err := Listen(dir, 0o600, ""); err == nil {
		t.Fatal("two supervisors listen in one directory")
	} else if want := "another supervisor runs here (pid "; !strings.Contains(err.Error(), want) {
		t.Errorf("%v: want %q in it", err, want)
	}
	info, err := os.Stat(SocketPath(dir))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket %v, %v: want mode 0600", info, err)
	}
}
