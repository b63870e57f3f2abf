package source

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// reader is a started job of socket.read and where it listens.
type reader struct {
	*desk
	t       *testing.T
	source  *reads
	network string // in the words of package net
	at      string
	taken   int // events that next returned
}

const readJob = 7

func newReader(t *testing.T, address string, spec Read) *reader {
	t.Helper()
	d, s := newDesk(t, "socket.read")
	r := &reader{desk: d, t: t, source: s.(*reads)}
	a, err := ParseAddress(address)
	if err != nil {
		t.Fatal(err)
	}
	spec.Listen = []Address{a}
	if spec.Frame == "" {
		spec.Frame = Chunk
		if a.Packets() {
			spec.Frame = Datagram
		}
	}
	if spec.MaxBytes == 0 {
		spec.MaxBytes = 64 << 10
	}
	if spec.Connections == 0 {
		spec.Connections = 1000
	}
	if err := errors.Join(Check(spec), s.Start(readJob, spec)); err != nil {
		t.Fatal(err)
	}
	if r.network, r.at = a.Scheme, a.Path; a.scheme().ip {
		fd := 0
		if job := r.job(); a.scheme().datagrams {
			fd = job.ports[0].fd
		} else {
			fd = job.listeners[0].fd
		}
		local, err := sys.LocalName(fd)
		if err != nil {
			t.Fatal(err)
		}
		r.at = local.IP.String()
	}
	return r
}

func (r *reader) job() *reading { return r.source.jobs[readJob] }

// client connects, from a name of its own where a reply to a datagram needs one.
func (r *reader) client() net.Conn {
	r.t.Helper()
	if r.network != "unixgram" {
		return dial(r.t, r.network, r.at)
	}
	own := &net.UnixAddr{Name: filepath.Join(r.t.TempDir(), "c"), Net: r.network}
	c, err := net.DialUnix(r.network, own, &net.UnixAddr{Name: r.at, Net: r.network})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	return c
}

// next turns until one event more is detected, and no other, and returns it.
func (r *reader) next() detected {
	r.t.Helper()
	r.taken++
	r.events(r.t, r.taken)
	return r.detected[r.taken-1]
}

// answer ends an event well.
func (e detected) answer(reply string) { e.end(aem.Completion{Reply: []byte(reply)}) }

func (e detected) end(c aem.Completion) { e.Origin.Ended(e.Event, &c) }

// gets reads from a client what it has to be, while the loop turns; "" is the end.
func (r *reader) gets(c net.Conn, want string) {
	r.t.Helper()
	got := make(chan string, 1)
	c.SetReadDeadline(time.Now().Add(patience)) //nolint:errcheck // then it takes longer to fail
	go func() {
		b := make([]byte, max(1, len(want)))
		n, err := io.ReadAtLeast(c, b, len(b))
		if err != nil && err != io.EOF && !errors.Is(err, syscall.ECONNRESET) && n == 0 { // a reset is an end, too
			b, n = []byte(err.Error()), len(err.Error())
		}
		got <- string(b[:n])
	}()
	for {
		select {
		case text := <-got:
			if text != want {
				r.t.Errorf("the client got %q, want %q", text, want)
			}
			return
		default:
			r.turn(r.t, time.Millisecond)
		}
	}
}

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// TestRead_R115_R157 has somebody say something on each kind of socket, and hear of it.
func TestRead_R115_R157(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ name, address string }{
		{"tcp", "tcp://127.0.0.1:0"},
		{"tcp6", "tcp://[::1]:0"},
		{"unix", "unix://" + filepath.Join(dir, "s")},
		{"unixpacket", "unixpacket:" + abstract(t)},
		{"udp", "udp://127.0.0.1:0"},
		{"udp6", "udp://[::1]:0"},
		{"unixgram", "unixgram://" + filepath.Join(dir, "g")},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newReader(t, c.address, Read{})
			client := r.client()
			for _, text := range []string{"hello", "world"} {
				say(t, client, text)
				e := r.next()
				if e.job != readJob || e.Type != "socket.read" || string(e.Data) != text || e.FD != -1 || e.Count != 1 {
					t.Errorf("event %+v", e.Event)
				}
				peer, local := client.LocalAddr().String(), client.RemoteAddr().String()
				if !strings.Contains(r.network, "p") { // tcp, udp, and unixpacket, which has no name
					peer, local = "unix:"+peer, "unix:"+local
				}
				if r.network == "unix" || r.network == "unixpacket" {
					peer, local = "unix:", "unix:"+r.at
				}
				connection := "1"
				if r.network == "udp" || r.network == "unixgram" {
					connection = "0"
				}
				for name, want := range map[string]string{"peer": peer, "local": local, "connection": connection} {
					if got, _ := e.Fact(name); got != want {
						t.Errorf("%s %q, want %q", name, got, want)
					}
				}
				e.answer(strings.ToUpper(text))
				r.gets(client, strings.ToUpper(text))
			}
			if r.network == "udp" || r.network == "unixgram" {
				return
			}
			client.Close()
			r.until(t, "closed", func() bool { return len(r.job().conns) == 0 })
		})
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("sockets are left: %v", left)
	}
}

// TestFramesOfAConnectionComeOneByOne_R115: the next one is detected when the one before has its fate.
func TestFramesOfAConnectionComeOneByOne_R115(t *testing.T) {
	r := newReader(t, "tcp://127.0.0.1:0", Read{Frame: Line})
	client, other := r.client(), r.client()
	say(t, client, "one\ntwo\nthr")
	first := r.next()
	say(t, other, "meanwhile\n")
	say(t, client, "ee\n")
	if e := r.next(); string(e.Data) != "meanwhile\n" {
		t.Fatalf("detected %q", e.Data)
	}
	r.quiet(t, 20*time.Millisecond)
	first.answer("1\n")
	for _, c := range []struct{ want, reply string }{{"two\n", "2\n"}, {"three\n", ""}} {
		e := r.next()
		if string(e.Data) != c.want {
			t.Fatalf("detected %q, want %q", e.Data, c.want)
		}
		e.answer(c.reply)
	}
	r.gets(client, "1\n2\n")
}

func TestLengthsAreOnReplies(t *testing.T) {
	r := newReader(t, "unix:"+abstract(t), Read{Frame: Length})
	client := r.client()
	big := strings.Repeat("x", 60_000)
	say(t, client, string(binary.BigEndian.AppendUint32(nil, uint32(len(big))))+big)
	e := r.next()
	if string(e.Data) != big {
		t.Errorf("%d bytes came", len(e.Data))
	}
	e.answer("yes")
	r.gets(client, "\x00\x00\x00\x03yes")
}

// TestLongFrames has frames come that are many reads long.
func TestLongFrames(t *testing.T) {
	r := newReader(t, "tcp://127.0.0.1:0", Read{Frame: Length, MaxBytes: 8 << 20})
	client := r.client()
	for i := range 3 {
		big := bytes.Repeat([]byte{'a' + byte(i)}, 5<<20)
		go client.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(big))), big...)) //nolint:errcheck // the test reads it
		e := r.next()
		if !bytes.Equal(e.Data, big) {
			t.Errorf("%d bytes came, %x..%x", len(e.Data), e.Data[0], e.Data[len(e.Data)-1])
		}
		e.answer("ok")
		r.gets(client, "\x00\x00\x00\x02ok")
		if n := r.job().unfinished; n != 0 {
			t.Errorf("%d bytes are counted as unfinished", n)
		}
	}
}

// TestTooLongFrameEndsItsConnection: what was answered before arrives, though more has come than was read.
func TestTooLongFrameEndsItsConnection(t *testing.T) {
	for _, c := range []struct {
		name, address string
		frame         Frame
		long          string
	}{
		{"line", "tcp://127.0.0.1:0", Line, strings.Repeat("x", 100_000)},
		{"length", "tcp://127.0.0.1:0", Length, "\x00\x00\x00\x0b"},
		{"packet", "unixpacket:" + abstract(t), Datagram, "01234567890"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newReader(t, c.address, Read{Frame: c.frame, MaxBytes: 10})
			client := r.client()
			good := map[Frame]string{Line: "1\n", Length: "\x00\x00\x00\x011", Datagram: "1"}[c.frame]
			say(t, client, good)
			r.next().answer("ok")
			say(t, client, c.long)
			r.gets(client, map[Frame]string{Line: "ok", Length: "\x00\x00\x00\x02ok", Datagram: "ok"}[c.frame])
			r.gets(client, "")
			client.Close()
			r.until(t, "closed", func() bool { return len(r.job().conns) == 0 })
			r.quiet(t, 10*time.Millisecond)
		})
	}
}

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

// TestHeldJobReadsNothing_R101 also shows that a descriptor that stays readable does not keep the loop awake.
func TestHeldJobReadsNothing_R101(t *testing.T) {
	r := newReader(t, "tcp://127.0.0.1:0", Read{Frame: Line})
	clients := []net.Conn{r.client(), r.client(), r.client()}
	r.until(t, "connected", func() bool { return len(r.job().conns) == len(clients) })
	say(t, clients[0], "a\nb\n")
	first := r.next()
	r.source.Hold(readJob)
	first.answer("") // b is there, but not detected
	for _, c := range clients[1:] {
		say(t, c, "c\n")
	}
	r.quiet(t, 20*time.Millisecond)
	began := time.Now()
	if err := r.poller.Wait(50 * time.Millisecond); err != nil || time.Since(began) < 40*time.Millisecond {
		t.Errorf("the loop is kept awake: it slept %v, %v", time.Since(began), err)
	}
	r.then = func(detected) { r.source.Hold(readJob) }
	got := ""
	for range 3 {
		r.source.Resume(readJob)
		e := r.next()
		got += string(e.Data)
		e.answer("")
	}
	if got != "b\nc\nc\n" {
		t.Errorf("detected %q", got)
	}
}

// TestStopLetsFinish: what is under way is answered, and nothing else is read.
func TestStopLetsFinish(t *testing.T) {
	r := newReader(t, "tcp://127.0.0.1:0", Read{Frame: Line})
	busy, idle := r.client(), r.client()
	say(t, busy, "one\ntwo\n")
	e := r.next()
	r.until(t, "connected", func() bool { return len(r.job().conns) == 2 })
	r.source.Stop(readJob)
	r.source.Stop(readJob)
	r.gets(idle, "")
	if _, err := net.Dial(r.network, r.at); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after the stop: %v", err)
	}
	if r.source.Settled() {
		t.Error("it is settled")
	}
	e.answer("1\n")
	r.gets(busy, "1\n")
	r.gets(busy, "")
	busy.Close()
	r.until(t, "settled", r.source.Settled)
	r.quiet(t, 10*time.Millisecond)
}

func TestStoppedInsideDetected(t *testing.T) {
	for _, address := range []string{"tcp://127.0.0.1:0", "udp://127.0.0.1:0"} {
		r := newReader(t, address, Read{})
		r.then = func(detected) { r.source.Stop(readJob) } // once = true
		client := r.client()
		for range 3 {
			say(t, client, "x")
		}
		e := r.next()
		r.quiet(t, 10*time.Millisecond)
		e.answer("y")
		r.gets(client, "y")
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	r := newReader(t, "tcp://127.0.0.1:0", Read{Connections: 2})
	clients := []net.Conn{r.client(), r.client(), r.client()}
	r.until(t, "connected", func() bool { return len(r.job().conns) == 2 })
	say(t, clients[2], "x")
	r.quiet(t, 20*time.Millisecond)
	r.source.Hold(readJob)
	r.source.Resume(readJob)
	r.quiet(t, 20*time.Millisecond)
	clients[0].Close()
	if e := r.next(); string(e.Data) != "x" {
		t.Errorf("%q", e.Data)
	}
}

// TestUnfinishedFramesAreBounded has many peers begin frames and never end them.
func TestUnfinishedFramesAreBounded(t *testing.T) {
	r := newReader(t, "unix:"+abstract(t), Read{Frame: Length, MaxBytes: 32 << 20})
	part := append([]byte{2, 0, 0, 0}, make([]byte, 20<<20)...) // of 32 MiB; kept in 32
	var clients []net.Conn
	for i := range 3 {
		c := r.client()
		clients = append(clients, c)
		go c.Write(part) //nolint:errcheck // the third one is cut off
		if i < 2 {
			r.until(t, "kept", func() bool { return r.job().unfinished == (i+1)*32<<20 })
		}
	}
	r.gets(clients[2], "")
	r.until(t, "closed", func() bool { return len(r.job().conns) == 2 })
	if n := r.job().unfinished; n != 64<<20 {
		t.Errorf("%d bytes are unfinished", n)
	}
}

// TestIdleConnectionHoldsNoBuffer: what it costs is what it takes to know it.
func TestIdleConnectionHoldsNoBuffer(t *testing.T) {
	r := newReader(t, "tcp://127.0.0.1:0", Read{Frame: Line})
	client := r.client()
	say(t, client, "one\ntw")
	r.next().answer("1")
	c := r.job().conns[0]
	if cap(c.buf) == 0 || r.job().unfinished != cap(c.buf) {
		t.Errorf("the beginning of a line is in %d bytes, counted as %d", cap(c.buf), r.job().unfinished)
	}
	say(t, client, "o\n")
	r.next().answer("2")
	if c.buf != nil || r.job().unfinished != 0 {
		t.Errorf("at rest it holds %d bytes, counted as %d", cap(c.buf), r.job().unfinished)
	}
}

// TestPinnedDataIsNotUsedAgain: a thread that never came back may read it still.
func TestPinnedDataIsNotUsedAgain(t *testing.T) {
	for _, address := range []string{"tcp://127.0.0.1:0", "udp://127.0.0.1:0"} {
		r := newReader(t, address, Read{})
		client := r.client()
		say(t, client, "secret")
		e := r.next()
		data := e.Data
		e.Pinned = true
		e.answer("x")
		say(t, client, "public")
		if next := r.next(); &next.Data[0] == &data[0] || string(data) != "secret" {
			t.Errorf("%s: it was used again: %q", address, data)
		}
	}
}

// TestDatagramsComeInBatches_R031: one turn takes a bounded number, and a hold within it loses none.
func TestDatagramsComeInBatches_R031(t *testing.T) {
	r := newReader(t, "udp://127.0.0.1:0", Read{})
	client := r.client()
	const all = sys.DatagramBatch + 10
	for i := range all {
		say(t, client, string(rune('0'+i)))
	}
	r.then = func(detected) {
		if len(r.detected) == 3 {
			r.source.Hold(readJob)
		}
	}
	r.turn(t, patience)
	if len(r.detected) != 3 || len(r.job().ports[0].kept) != sys.DatagramBatch-3 {
		t.Fatalf("%d detected, %d kept", len(r.detected), len(r.job().ports[0].kept))
	}
	r.quiet(t, 10*time.Millisecond)
	r.source.Resume(readJob)
	if len(r.detected) != sys.DatagramBatch {
		t.Errorf("then %d are detected", len(r.detected))
	}
	r.events(t, all)
	for i, e := range r.detected {
		if want := string(rune('0' + i)); string(e.Data) != want {
			t.Errorf("datagram %d is %q, want %q", i, e.Data, want)
		}
		e.answer(string(e.Data) + "!")
	}
	for i := range all {
		r.gets(client, string(rune('0'+i))+"!")
	}
}

func TestLongDatagramIsThrownAway(t *testing.T) {
	r := newReader(t, "udp://127.0.0.1:0", Read{MaxBytes: 4})
	client := r.client()
	say(t, client, "12345")
	say(t, client, "1234")
	if e := r.next(); string(e.Data) != "1234" {
		t.Errorf("%q", e.Data)
	}
	if n := r.job().tooLong.n; n != 1 {
		t.Errorf("%d are counted", n)
	}
}

// TestReplyToNobody: a unix datagram without a name cannot be answered, and an event that failed has no answer.
func TestReplyToNobody(t *testing.T) {
	r := newReader(t, "unixgram:"+abstract(t), Read{})
	nameless := dial(t, r.network, r.at)
	say(t, nameless, "x")
	r.next().answer("y")
	if n := r.job().unsent.n; n != 1 {
		t.Errorf("%d are counted", n)
	}
	named := r.client()
	say(t, named, "x")
	r.next().end(aem.Completion{Outcome: aem.Failed, Reply: []byte("no")})
	say(t, named, "x")
	r.next().answer("yes")
	r.gets(named, "yes")
}

// TestStaleSocketOfEachKindIsReplaced, and one that somebody has is not.
func TestStaleSocketOfEachKindIsReplaced(t *testing.T) {
	for scheme, kind := range map[string]sys.UnixKind{"unix": sys.UnixStream, "unixpacket": sys.UnixPacket, "unixgram": sys.UnixDatagram} {
		path := filepath.Join(t.TempDir(), "s")
		fd, err := sys.BindUnix(path, kind, 0o600)
		if err == nil && kind != sys.UnixDatagram {
			err = sys.Listen(fd, 1)
		}
		if err != nil {
			t.Fatal(err)
		}
		_, s := newDesk(t, "socket.read")
		spec := Read{Listen: []Address{{Scheme: scheme, Path: path}}, Frame: Datagram, MaxBytes: 1, Connections: 1}
		if scheme == "unix" {
			spec.Frame = Chunk
		}
		if err := s.Start(1, spec); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("%s: a socket that somebody has: %v", scheme, err)
		}
		sys.Close(fd)
		if err := s.Start(1, spec); err != nil {
			t.Errorf("%s: a socket that nobody has: %v", scheme, err)
		}
	}
}
