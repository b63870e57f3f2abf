package control

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestPipeline: requests of a connection begin in their order, those that have come before the replies to the ones ahead of
// them are there, and are answered in their order.
func TestPipeline(t *testing.T) {
	var begun, ended, most atomic.Int64
	dir := start(t, func(_ context.Context, _ Peer, req Request) Reply {
		n := begun.Add(1)
		if want := "a/t" + strconv.FormatInt(n%pipelined, 10); req.Topic != want {
			t.Errorf("request %s is the %d., want %s", req.Topic, n, want)
		}
		most.Store(max(most.Load(), n-ended.Load()))
		if n%10 == 0 { // as an emit that waits
			ended.Add(1)
			return Done(n)
		}
		return Reply{Later: func() Reply {
			ended.Add(1)
			return Done(n)
		}}
	})
	var reqs []Request
	for i := range pipelined {
		reqs = append(reqs, Request{Op: OpEmit, Topic: "a/t" + strconv.Itoa((i+1)%pipelined)})
	}
	c := dial(t, dir)
	for round, end := 0, time.Now().Add(time.Minute); most.Load() < 3; round++ {
		if time.Now().After(end) {
			t.Fatal("no request ever begins before the one ahead of it is answered")
		}
		replies, err := c.DoAll(t.Context(), reqs)
		if err != nil || len(replies) != len(reqs) {
			t.Fatalf("%d replies, %v", len(replies), err)
		}
		for i, r := range replies {
			if n, err := ResultOf[int](r); err != nil || n != round*pipelined+i+1 {
				t.Errorf("reply %d is %d, %v", i+1, n, err)
			}
		}
	}
	if most.Load() > beginAhead {
		t.Errorf("%d were begun at once, at most %d are to be", most.Load(), beginAhead)
	}
	if _, err := c.DoAll(t.Context(), []Request{{Op: OpEmit}}); err == nil {
		t.Error("a request that cannot be was sent")
	}
}

// pipelined is how many requests go at once.
const pipelined = 300

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
