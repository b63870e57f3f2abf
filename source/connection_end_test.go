package source

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
)

// TestHalfClosedPeerIsAnswered_R116: a peer may end its side and still hear.
func TestHalfClosedPeerIsAnswered_R116(t *testing.T) {
	r := newReader(t, "tcp://127.0.0.1:0", Read{Frame: Line})
	client := r.client()
	say(t, client, "one\nlast")
	if err := client.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	first := r.next()
	r.quiet(t, 10*time.Millisecond)
	first.answer("1")
	r.next().answer("2")
	r.gets(client, "12")
	r.gets(client, "")
	if len(r.job().conns) != 0 {
		t.Error("it is not closed")
	}
}

// TestSlowPeer takes a long reply bit by bit: nothing of it is lost, and nothing more is read until it has all.
func TestSlowPeer(t *testing.T) {
	r := newReader(t, "tcp://127.0.0.1:0", Read{})
	client := r.client()
	say(t, client, "x")
	long := strings.Repeat("0123456789", 1<<20)
	e := r.next()
	e.answer(long)
	say(t, client, "y")
	r.quiet(t, 20*time.Millisecond)
	r.gets(client, long)
	if e := r.next(); string(e.Data) != "y" {
		t.Errorf("then %q came", e.Data)
	}
}

// TestPeerThatTakesNothingIsClosed moves the time on instead of waiting.
func TestPeerThatTakesNothingIsClosed(t *testing.T) {
	r := newReader(t, "tcp://127.0.0.1:0", Read{})
	client := r.client()
	say(t, client, "x")
	r.next().answer(strings.Repeat("0123456789", 1<<20))
	at, ok := r.alarms.Next()
	if !ok {
		t.Fatal("nobody looks at the time")
	}
	r.turn(t, 0)
	if r.alarms.Run(at); len(r.job().conns) != 0 {
		t.Error("it is not closed")
	}
}

func TestReplyTooLongEndsItsConnection(t *testing.T) {
	r := newReader(t, "tcp://127.0.0.1:0", Read{})
	client := r.client()
	say(t, client, "x")
	r.next().end(aem.Completion{Reply: make([]byte, maxReplyBytes+1)})
	r.gets(client, "")
}

// TestFrameWithoutAnswerEndsItsConnection: the reply to the next one would be taken for the one that is missing.
func TestFrameWithoutAnswerEndsItsConnection(t *testing.T) {
	for _, outcome := range []aem.Outcome{aem.Failed, aem.Expired, aem.Shed} {
		r := newReader(t, "tcp://127.0.0.1:0", Read{Frame: Line})
		client := r.client()
		say(t, client, "one\ntwo\n")
		r.next().end(aem.Completion{Outcome: outcome})
		r.gets(client, "")
		client.Close()
		r.until(t, "closed", func() bool { return len(r.job().conns) == 0 })
	}
}

// TestHangup: the handler's last word arrives, whatever the peer goes on sending.
func TestHangup(t *testing.T) {
	r := newReader(t, "tcp://127.0.0.1:0", Read{Frame: Line})
	client := r.client()
	say(t, client, "bye\n"+strings.Repeat("more\n", 1000))
	r.next().end(aem.Completion{Reply: []byte("bye"), Hangup: true})
	r.gets(client, "bye")
	r.gets(client, "")
	if len(r.job().conns) != 1 {
		t.Error("it does not wait for the peer's end")
	}
	client.Close()
	r.until(t, "closed", func() bool { return len(r.job().conns) == 0 })
}

func TestLingeringHasAnEnd(t *testing.T) {
	r := newReader(t, "tcp://127.0.0.1:0", Read{})
	client := r.client()
	say(t, client, "bye")
	r.next().end(aem.Completion{Hangup: true})
	at, ok := r.alarms.Next()
	if !ok {
		t.Fatal("nobody looks at the time")
	}
	if r.alarms.Run(at); len(r.job().conns) != 0 {
		t.Error("it is not closed when its time is over")
	}
	r.gets(client, "")

	client = r.client()
	say(t, client, "bye")
	r.next().end(aem.Completion{Hangup: true})
	go client.Write(make([]byte, 8*lingerBytes)) //nolint:errcheck // it is closed meanwhile
	r.until(t, "closed", func() bool { return len(r.job().conns) == 0 })
}

// TestResetWhileBusy: the reply goes nowhere, and nobody is hurt.
func TestResetWhileBusy(t *testing.T) {
	r := newReader(t, "tcp://127.0.0.1:0", Read{})
	client := r.client().(*net.TCPConn)
	say(t, client, "x")
	e := r.next()
	client.SetLinger(0) //nolint:errcheck // then the test does not test much
	client.Close()
	r.quiet(t, 10*time.Millisecond)
	e.answer("y")
	r.until(t, "closed", func() bool { return len(r.job().conns) == 0 })
}
