package source

import (
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/timing"
)

const closeJobID = 9

// watched is a reader whose connections' ends are told to a job of socket.close.
type watched struct {
	*reader
	closes *Closes
	ends   []detected
}

func newWatched(t *testing.T, address string, spec Read) *watched {
	t.Helper()
	spec.Name = "app/read"
	r := newReader(t, address, spec)
	src, err := Open("socket.close", r.source.env)
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{reader: r, closes: src.(*Closes)}
	r.source.env.Closes = w.closes
	if err := w.closes.Start(closeJobID, Close{Of: "app/read"}); err != nil {
		t.Fatal(err)
	}
	return w
}

// end turns until one end more is told. Other events stay for next.
func (w *watched) end() detected {
	w.t.Helper()
	n := len(w.ends)
	w.until(w.t, "ended", func() bool {
		rest := w.detected[:0]
		for _, e := range w.detected {
			if e.job == closeJobID {
				w.ends = append(w.ends, e)
			} else {
				rest = append(rest, e)
			}
		}
		w.detected = rest
		return len(w.ends) > n
	})
	return w.ends[n]
}

func fact(e detected, name string) string {
	value, _ := e.Fact(name)
	return value
}

// TestClose_R116_R181 has connections end in each way that there is.
func TestClose_R116_R181(t *testing.T) {
	for _, c := range []struct {
		reason string
		frame  Frame
		says   string // what the client says
		sent   string // what it hears
		end    func(w *watched, c net.Conn)
	}{
		{"peer", Line, "one\n", "1", func(w *watched, c net.Conn) { w.next().answer("1"); w.gets(c, "1"); c.Close() }},
		{"peer", Line, "", "", func(_ *watched, c net.Conn) { c.Close() }},
		{"reset", Line, "", "", func(w *watched, c net.Conn) {
			w.until(w.t, "connected", func() bool { return len(w.job().conns) == 1 })
			c.(*net.TCPConn).SetLinger(0) //nolint:errcheck // then the reason is another
			c.Close()
		}},
		{"handler", Line, "one\n", "bye", func(w *watched, c net.Conn) {
			w.next().end(aem.Completion{Reply: []byte("bye"), Hangup: true})
			w.gets(c, "bye")
			c.Close()
		}},
		{"fate", Line, "one\n", "", func(w *watched, c net.Conn) { w.next().end(aem.Completion{Outcome: aem.Failed}); c.Close() }},
		{"frame", Length, "\xff\xff\xff\xff", "", func(w *watched, c net.Conn) { w.gets(c, ""); c.Close() }},
		{"idle", Line, "one\ntw", "1", func(w *watched, c net.Conn) {
			w.next().answer("1")
			w.gets(c, "1")
			w.quiet(w.t, 10*time.Millisecond)
			at, ok := w.alarms.Next()
			if ahead := time.Duration(at - timing.Now()); !ok || ahead > time.Hour/2 {
				w.t.Fatalf("the next look is in %v", ahead)
			}
			w.job().conns[0].rested -= int64(time.Hour)
			w.alarms.Run(at)
			w.gets(c, "")
			c.Close()
		}},
		{"stopped", Line, "", "", func(w *watched, _ net.Conn) {
			w.until(w.t, "connected", func() bool { return len(w.job().conns) == 1 })
			w.source.Stop(readJob)
		}},
	} {
		t.Run(c.reason, func(t *testing.T) {
			w := newWatched(t, "tcp://127.0.0.1:0", Read{Frame: c.frame, Idle: time.Hour})
			began := time.Now()
			client := w.client()
			say(t, client, c.says)
			c.end(w, client)
			e := w.end()
			want := map[string]string{
				"reason": c.reason, "peer": client.LocalAddr().String(), "local": w.at, "connection": "1", "lost": "0",
				"received": strconv.Itoa(len(c.says)), "sent": strconv.Itoa(len(c.sent)),
			}
			for name, want := range want {
				if got := fact(e, name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			opened, err := time.Parse(time.RFC3339Nano, fact(e, "opened"))
			if err != nil || opened.Before(began.Add(-time.Second)) || opened.After(time.Now()) || e.Type != "socket.close" {
				t.Errorf("%s: opened %v, %v", e.Type, opened, err)
			}
			if w.job() != nil && len(w.job().conns) != 0 {
				t.Error("it is not closed")
			}
		})
	}
}

func TestSlowPeersEndIsTold(t *testing.T) {
	w := newWatched(t, "tcp://127.0.0.1:0", Read{})
	client := w.client()
	say(t, client, "x")
	w.next().answer(strings.Repeat("0123456789", 1<<20))
	at, _ := w.alarms.Next()
	w.alarms.Run(at)
	if e := w.end(); fact(e, "reason") != "slow" || fact(e, "sent") == "0" {
		t.Errorf("reason %s, %s sent", fact(e, "reason"), fact(e, "sent"))
	}
}

// TestEndsAreKeptForAHeldJob_R101: up to a number, and beyond it counted.
func TestEndsAreKeptForAHeldJob_R101(t *testing.T) {
	d, s := newDesk(t, "socket.close")
	closes := s.(*Closes)
	if err := s.Start(1, Close{Of: "a/b"}); err != nil {
		t.Fatal(err)
	}
	s.Hold(1)
	facts := []aem.Fact{{Name: "peer"}, {Name: "local"}, aem.NumberFact("connection", 1)}
	const lost = 7
	for i := range keptArrivals + lost {
		closes.closed("a/b", ending{facts: facts, why: "peer", received: int64(i)})
	}
	closes.closed("a/other", ending{facts: facts})
	if n := closes.Kept(1); n != keptArrivals+lost || len(d.detected) != 0 {
		t.Errorf("%d are kept, %d detected", n, len(d.detected))
	}
	d.then = func(detected) {
		if len(d.detected) == 3 {
			s.Hold(1)
		}
	}
	s.Resume(1)
	if len(d.detected) != 3 {
		t.Fatalf("%d detected before it is held again", len(d.detected))
	}
	s.Resume(1)
	if len(d.detected) != keptArrivals+1 {
		t.Fatalf("%d detected", len(d.detected))
	}
	for i, e := range d.detected[:keptArrivals] {
		if got := fact(e, "received"); got != strconv.Itoa(i) {
			t.Fatalf("end %d is the one of %s", i, got)
		}
	}
	if e := d.detected[keptArrivals]; fact(e, "reason") != "overflow" || fact(e, "lost") != strconv.Itoa(lost) {
		t.Errorf("then %s of %s", fact(e, "reason"), fact(e, "lost"))
	}
	closes.closed("a/b", ending{facts: facts})
	s.Stop(1)
	closes.closed("a/b", ending{facts: facts})
	if n := len(d.detected); n != keptArrivals+2 {
		t.Errorf("%d detected, of a stopped job too", n)
	}
}

// TestSeveralJobsHearOfAnEnd, and one that stops another in the middle of it.
func TestSeveralJobsHearOfAnEnd(t *testing.T) {
	d, s := newDesk(t, "socket.close")
	for id := range aem.JobID(3) {
		if err := s.Start(id+1, Close{Of: "a/b"}); err != nil {
			t.Fatal(err)
		}
	}
	d.then = func(e detected) {
		if e.job == 1 {
			s.Stop(2)
		}
	}
	s.(*Closes).closed("a/b", ending{})
	if len(d.detected) != 2 || d.detected[1].job != 3 {
		t.Errorf("%d detected", len(d.detected))
	}
}
