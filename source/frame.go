package source

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Frame is what is one event of what comes on a socket.
type Frame string

// The frames.
const (
	Chunk    Frame = "chunk"    // what has come when it is read
	Line     Frame = "line"     // up to a newline, which belongs to it; the last line may lack it
	Length   Frame = "length"   // after 4 bytes that tell its length, the large one first; replies have them too
	Datagram Frame = "datagram" // a message of a socket that keeps their bounds
)

// lengthBytes is what a frame of Length has before it.
const lengthBytes = 4

var (
	errTooLong = errors.New("a frame is longer than max_bytes")
	errCutOff  = errors.New("the end came within a frame")
)

// cut finds the first frame in what has come of a stream: its data is b[head:end], and end bytes are used up. There is
// none yet when ok is false. The first seen bytes were looked at before; ended says that nothing follows.
func (f Frame) cut(b []byte, seen, most int, ended bool) (head, end int, ok bool, err error) {
	switch {
	case len(b) == 0:
		return 0, 0, false, nil
	case f == Length:
		return cutLength(b, most, ended)
	case f == Line:
		return cutLine(b, seen, most, ended)
	}
	return 0, min(len(b), most), true, nil
}

func cutLine(b []byte, seen, most int, ended bool) (head, end int, ok bool, err error) {
	looked := b[:min(len(b), most)]
	seen = min(seen, len(looked))
	if i := bytes.IndexByte(looked[seen:], '\n'); i >= 0 {
		return 0, seen + i + 1, true, nil
	}
	if len(b) > most {
		return 0, 0, false, errTooLong
	}
	return 0, len(b), ended, nil
}

func cutLength(b []byte, most int, ended bool) (head, end int, ok bool, err error) {
	size := 0
	if len(b) >= lengthBytes {
		n := binary.BigEndian.Uint32(b)
		if int64(n) > int64(most) {
			return 0, 0, false, errTooLong
		}
		size = int(n)
	}
	if end = lengthBytes + size; len(b) >= end {
		return lengthBytes, end, true, nil
	}
	if ended {
		err = errCutOff
	}
	return 0, 0, false, err
}

// head is what goes before a reply.
func (f Frame) head(reply []byte, room *[lengthBytes]byte) []byte {
	if f != Length {
		return nil
	}
	binary.BigEndian.PutUint32(room[:], uint32(len(reply)))
	return room[:]
}

// MaxFrameBytes is the longest frame that can be asked for; of messages, that of a socket's own buffer, and of chunks,
// that of one read.
const (
	MaxFrameBytes    = 64 << 20
	maxDatagramBytes = 256 << 10
	readBytes        = 64 << 10
)

func (r Read) check() error {
	most := MaxFrameBytes
	if r.Frame == Datagram {
		most = maxDatagramBytes
	}
	switch {
	case r.MaxBytes < 1 || r.MaxBytes > most:
		return fmt.Errorf("max_bytes of frame = %q is from 1 to %d", r.Frame, most)
	case r.Connections < 1:
		return errors.New("connections is at least 1")
	case r.Idle < 0:
		return errors.New("idle is not negative")
	}
	for _, a := range r.Listen {
		switch packets := a.Packets(); {
		case a.inherited(): // told when it is there
		case packets && r.Frame != Datagram:
			return fmt.Errorf("%s keeps the bounds of messages: want frame = %q", a, Datagram)
		case !packets && r.Frame == Datagram:
			return fmt.Errorf("%s has no datagrams: want frame = %q, %q or %q", a, Chunk, Line, Length)
		}
	}
	return r.Door.check(r.Listen)
}
