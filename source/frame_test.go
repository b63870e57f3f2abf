package source

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

// cutAll cuts what comes piece by piece, as a connection does, and returns the frames.
func cutAll(f Frame, most int, pieces ...[]byte) (frames []string, err error) {
	var buf []byte
	from, seen := 0, 0
	for i := 0; i <= len(pieces); i++ {
		ended := i == len(pieces)
		if !ended {
			buf = append(buf, pieces[i]...)
		}
		for {
			head, end, ok, err := f.cut(buf[from:], seen-from, most, ended)
			if err != nil {
				return frames, err
			}
			if !ok {
				seen = len(buf)
				break
			}
			frames = append(frames, string(buf[from+head:from+end]))
			from += end
			seen = from
		}
	}
	return frames, nil
}

func TestFrames_R115(t *testing.T) {
	for _, c := range []struct {
		name   string
		frame  Frame
		most   int
		pieces []string
		want   string // frames, each behind a |
		err    error
	}{
		{"chunks", Chunk, 100, []string{"ab", "c"}, "|ab|c", nil},
		{"a chunk longer than may be", Chunk, 2, []string{"abcde"}, "|ab|cd|e", nil},
		{"nothing", Line, 100, nil, "", nil},
		{"a line", Line, 100, []string{"ab\n"}, "|ab\n", nil},
		{"lines at once", Line, 100, []string{"a\n\nb\n"}, "|a\n|\n|b\n", nil},
		{"a line in pieces", Line, 100, []string{"a", "b", "\n"}, "|ab\n", nil},
		{"the last line lacks its newline", Line, 100, []string{"a\nb"}, "|a\n|b", nil},
		{"as long as it may be", Line, 3, []string{"ab\n", "cd", "\n"}, "|ab\n|cd\n", nil},
		{"the last one as long as it may be", Line, 3, []string{"abc"}, "|abc", nil},
		{"too long", Line, 3, []string{"a\nabc\n"}, "|a\n", errTooLong},
		{"too long, in pieces", Line, 3, []string{"abc", "d"}, "", errTooLong},
		{"lengths", Length, 9, []string{"\x00\x00\x00\x02ab\x00\x00\x00\x00\x00\x00\x00\x01c"}, "|ab||c", nil},
		{"a length in pieces", Length, 9, []string{"\x00\x00", "\x00", "\x02", "a", "b"}, "|ab", nil},
		{"as long as it may be", Length, 2, []string{"\x00\x00\x00\x02ab"}, "|ab", nil},
		{"a length too long", Length, 2, []string{"\x00\x00\x00\x03abc"}, "", errTooLong},
		{"the longest length there is", Length, MaxFrameBytes, []string{"\xff\xff\xff\xff"}, "", errTooLong},
		{"cut off in its length", Length, 9, []string{"\x00\x00\x00"}, "", errCutOff},
		{"cut off", Length, 9, []string{"\x00\x00\x00\x02ab\x00\x00\x00\x02a"}, "|ab", errCutOff},
	} {
		t.Run(string(c.frame)+" "+c.name, func(t *testing.T) {
			pieces := make([][]byte, len(c.pieces))
			for i, p := range c.pieces {
				pieces[i] = []byte(p)
			}
			frames, err := cutAll(c.frame, c.most, pieces...)
			got := ""
			for _, f := range frames {
				got += "|" + f
			}
			if got != c.want || !errors.Is(err, c.err) {
				t.Errorf("%q, %v; want %q, %v", got, err, c.want, c.err)
			}
		})
	}
}

// FuzzFrames holds what every stream has to give, however it comes in pieces: nothing is lost or made up, no frame is
// longer than it may be, and pieces make no difference but to chunks.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("a\nbc\n\nd"), uint8(1), uint8(2), uint8(10))
	f.Add([]byte("\x00\x00\x00\x02ab\x00\x00\x00\x00"), uint8(2), uint8(3), uint8(10))
	f.Add([]byte("abc"), uint8(0), uint8(1), uint8(2))
	f.Fuzz(func(t *testing.T, stream []byte, kind, piece, most uint8) {
		frame, limit := []Frame{Chunk, Line, Length}[kind%3], int(most)+1
		var pieces [][]byte
		for rest := stream; len(rest) > 0; {
			n := min(len(rest), int(piece)+1)
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		frames, err := cutAll(frame, limit, pieces...)
		again := []byte{}
		for i, one := range frames {
			if len(one) > limit {
				t.Fatalf("frame %d has %d bytes, of at most %d", i, len(one), limit)
			}
			switch frame {
			case Length:
				again = binary.BigEndian.AppendUint32(again, uint32(len(one)))
			case Line:
				if n := strings.Count(one, "\n"); n > 1 || n == 1 && !strings.HasSuffix(one, "\n") {
					t.Fatalf("line %q", one)
				}
			}
			again = append(again, one...)
		}
		if !bytes.HasPrefix(stream, again) || err == nil && len(again) != len(stream) {
			t.Fatalf("%q became %q, %v", stream, frames, err)
		}
		if frame == Chunk {
			return
		}
		whole, wholeErr := cutAll(frame, limit, stream)
		if strings.Join(whole, "|") != strings.Join(frames, "|") || !errors.Is(wholeErr, err) {
			t.Fatalf("in pieces %q, %v; at once %q, %v", frames, err, whole, wholeErr)
		}
	})
}

func TestReadCheck(t *testing.T) {
	tcp, udp, packet := Address{Scheme: "tcp"}, Address{Scheme: "udp"}, Address{Scheme: "unixpacket", Path: "@x"}
	for _, c := range []struct {
		name string
		read Read
		err  string
	}{
		{"chunks", Read{Listen: []Address{tcp}, Frame: Chunk, MaxBytes: 1, Connections: 1}, ""},
		{"datagrams", Read{Listen: []Address{udp, packet}, Frame: Datagram, MaxBytes: 1, Connections: 1}, ""},
		{"nowhere", Read{Listen: nil, Frame: Chunk, MaxBytes: 1, Connections: 1}, "listen is missing"},
		{"no bytes", Read{Listen: []Address{tcp}, Frame: Chunk, MaxBytes: 0, Connections: 1}, "max_bytes"},
		{"too many bytes", Read{Listen: []Address{tcp}, Frame: Line, MaxBytes: MaxFrameBytes + 1, Connections: 1}, "max_bytes"},
		{"too many for a datagram", Read{Listen: []Address{udp}, Frame: Datagram, MaxBytes: maxDatagramBytes + 1, Connections: 1}, "max_bytes"},
		{"no connections", Read{Listen: []Address{tcp}, Frame: Chunk, MaxBytes: 1, Connections: 0}, "connections"},
		{"lines of datagrams", Read{Listen: []Address{udp}, Frame: Line, MaxBytes: 1, Connections: 1}, `want frame = "datagram"`},
		{"chunks of messages", Read{Listen: []Address{packet}, Frame: Chunk, MaxBytes: 1, Connections: 1}, `want frame = "datagram"`},
		{"datagrams of a stream", Read{Listen: []Address{tcp}, Frame: Datagram, MaxBytes: 1, Connections: 1}, "has no datagrams"},
		{"both", Read{Listen: []Address{udp, tcp}, Frame: Datagram, MaxBytes: 1, Connections: 1}, "has no datagrams"},
	} {
		err := Check(c.read)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, want %q", c.name, err, c.err)
		}
	}
}
