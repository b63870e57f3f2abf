package control

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
)

// TestPipeline: requests of a connection begin in their order, those that can wait before the replies to the ones ahead of
// them are there, and are answered in their order.
func TestPipeline(t *testing.T) {
	var begun atomic.Int64
	turn := make(chan struct{}, 1)
	dir := start(t, func(_ context.Context, _ Peer, req Request) Reply {
		n := begun.Add(1)
		if req.Topic != "a/t"+strconv.FormatInt(n, 10) {
			t.Errorf("request %s is the %d.", req.Topic, n)
		}
		switch {
		case n%10 == 0: // as an emit that waits
			return Done(n)
		case n == 3:
			turn <- struct{}{}
		}
		return Reply{Later: func() Reply {
			if n == 1 {
				<-turn // it is the third that lets the first go on
			}
			return Done(n)
		}}
	})
	var reqs []Request
	for i := range 300 {
		reqs = append(reqs, Request{Op: OpEmit, Topic: "a/t" + strconv.Itoa(i+1)})
	}
	c := dial(t, dir)
	replies, err := c.DoAll(t.Context(), reqs)
	if err != nil || len(replies) != len(reqs) {
		t.Fatalf("%d replies, %v", len(replies), err)
	}
	for i, r := range replies {
		if n, err := ResultOf[int](r); err != nil || n != i+1 {
			t.Errorf("reply %d is %d, %v", i+1, n, err)
		}
	}
	if _, err := c.DoAll(t.Context(), []Request{{Op: OpEmit}}); err == nil {
		t.Error("a request that cannot be was sent")
	}
}

// TestPipelineOfAClientThatNeverReads: what has begun for it is waited for, and others are not kept from anything.
func TestPipelineOfAClientThatNeverReads(t *testing.T) {
	var begun, ended atomic.Int64
	dir := startPatient(t, func(context.Context, Peer, Request) Reply {
		begun.Add(1)
		return Reply{Later: func() Reply {
			ended.Add(1)
			return Reply{Data: make([]byte, MaxFrameBytes/2)}
		}}
	}, shortTime)
	c := raw(t, dir)
	for i := range 1000 {
		m, err := Request{Op: OpVersion}.message(uint32(i))
		if err != nil {
			t.Fatal(err)
		}
		err = m.split(func(frame []byte) error {
			_, err := c.Write(frame)
			return err
		})
		if err != nil { // the server has closed it
			if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
				t.Fatal(err)
			}
			break
		}
	}
	if _, err := dial(t, dir).Do(t.Context(), Request{Op: OpVersion}); err != nil {
		t.Errorf("another client: %v", err)
	}
	c.Close() //nolint:errcheck // a test's
	t.Cleanup(func() {
		if begun.Load() != ended.Load() {
			t.Errorf("%d begun, %d waited for", begun.Load(), ended.Load())
		}
	})
}
