package source

import (
	"bytes"
	"encoding/binary"
	"net"
	"strings"
	"testing"
	"time"
)

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
