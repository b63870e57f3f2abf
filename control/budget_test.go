package control

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestBudgetIsShared(t *testing.T) {
	b := newBudget(100)
	if err := b.take(60); err != nil {
		t.Fatal(err)
	}
	if err := b.take(60); !errors.Is(err, syscall.EAGAIN) {
		t.Errorf("past the end: %v, want EAGAIN", err)
	}
	b.give(60)
	if err := b.take(100); err != nil {
		t.Errorf("after giving back: %v", err)
	}
}

// TestBudgetIsGivenBack has connections end in every way there is while they hold some of it.
func TestBudgetIsGivenBack(t *testing.T) {
	const room = 10 * MaxFrameBytes
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := &server{answer: echo, log: slog.New(slog.DiscardHandler), patience: shortTime, room: newBudget(room)}
	part := header{Kind: kindRequest, Op: OpEmit, Flags: flagMore}.build(nil, []byte(`{"topic":"a/b"}`), make([]byte, 1000))
	long, err := Request{Op: OpEmit, Topic: "a/b", Data: make([]byte, 5*MaxFrameBytes)}.message(1)
	if err != nil {
		t.Fatal(err)
	}
	tooLong := long
	tooLong.data = make([]byte, 2*room)

	for _, row := range []struct {
		name string
		do   func(c *conn) error
		want syscall.Errno
	}{
		{"answered", func(c *conn) error { return c.write(long, time.Minute) }, 0},
		{"above the budget", func(c *conn) error { return c.write(tooLong, time.Minute) }, syscall.EAGAIN},
		{"half a message, then silence", func(c *conn) error { _, err := c.Write(part); return err }, syscall.ETIMEDOUT},
		{"half a message, then garbage", func(c *conn) error {
			_, err := c.Write(part)
			_, garbageErr := c.Write([]byte("garbage"))
			return errors.Join(err, garbageErr)
		}, syscall.EPROTO},
	} {
		u, err := net.DialUnix("unixpacket", nil, l.Addr().(*net.UnixAddr))
		if err != nil {
			t.Fatal(err)
		}
		served, err := l.AcceptUnix()
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan bool)
		go func() { s.meet(context.Background(), served); close(ended) }()
		c := newConn(u, time.Minute, nil)
		if err := row.do(c); err != nil && !errors.Is(err, syscall.EPIPE) {
			t.Errorf("%s: %v", row.name, err)
		}
		m, err := c.read()
		if r, _ := m.reply(); err != nil || r.Errno != row.want {
			t.Errorf("%s: answered %v, %v, want %v", row.name, r.Errno, err, row.want)
		}
		_ = u.Close()
		<-ended
		if left := s.room.left.Load(); left != room {
			t.Errorf("%s: %d bytes of %d are left", row.name, left, room)
		}
		if s.seats.all.Load() != 0 {
			t.Errorf("%s: the seat is not free", row.name)
		}
	}
}

func TestSeatsKeepSomeFromForeigners(t *testing.T) {
	var s seats
	for range maxForeign {
		if err := s.take(true); err != nil {
			t.Fatal(err)
		}
	}
	if s.take(true) == nil {
		t.Errorf("foreigner %d was let in", maxForeign+1)
	}
	for i := maxForeign; i < maxConnections; i++ {
		if err := s.take(false); err != nil {
			t.Fatalf("own connection %d: %v", i+1, err)
		}
	}
	if s.take(false) == nil {
		t.Errorf("connection %d was let in", maxConnections+1)
	}
	s.give(true)
	if err := s.take(true); err != nil {
		t.Errorf("after one left: %v", err)
	}
}
