package control

import (
	"encoding/binary"
	"syscall"
)

// Sizes of what travels. Whatever is larger is answered with EMSGSIZE and its connection closed.
const (
	MaxFrameBytes   = 64 << 10
	MaxDataBytes    = 256 << 20
	MaxMessageBytes = MaxDataBytes + 1<<20 // data and JSON together
)

// header starts every frame; all words are little-endian. Its first three fields keep their places in every version.
type header struct {
	Magic    uint32
	Version  uint16
	Size     uint16 // of the header
	Kind     uint8
	Flags    uint8
	Op       Op
	Sequence uint32 // the client's number for the request, repeated in the reply
	Args     uint32 // bytes of JSON in this frame
	Data     uint32 // bytes of raw data behind them
}

const (
	headerBytes = 24
	magic       = 'A' | 'E'<<8 | 'M'<<16 | 'C'<<24

	kindRequest = 1
	kindReply   = 2

	flagMore = 1 // the message goes on in the next frame
)

// parse takes a frame apart. What it returns lies in the frame.
func parse(frame []byte) (h header, args, data []byte, err error) {
	if len(frame) < headerBytes {
		return h, nil, nil, Errorf(syscall.EPROTO, "frame of %d bytes: shorter than its header", len(frame))
	}
	le := binary.LittleEndian
	h = header{Magic: le.Uint32(frame), Version: le.Uint16(frame[4:]), Size: le.Uint16(frame[6:]), Kind: frame[8], Flags: frame[9],
		Op: Op(le.Uint16(frame[10:])), Sequence: le.Uint32(frame[12:]), Args: le.Uint32(frame[16:]), Data: le.Uint32(frame[20:])}
	body := uint64(len(frame) - headerBytes)
	switch {
	case h.Magic != magic:
		err = Errorf(syscall.EPROTO, "frame with magic %#x: want %#x", h.Magic, magic)
	case h.Version != Version:
		err = Errorf(syscall.EPROTONOSUPPORT, "frame of protocol version %d: want %d", h.Version, Version)
	case h.Size != headerBytes:
		err = Errorf(syscall.EPROTO, "frame with a header of %d bytes: want %d", h.Size, headerBytes)
	case len(frame) > MaxFrameBytes:
		err = Errorf(syscall.EMSGSIZE, "frame of more than %d bytes", MaxFrameBytes)
	case h.Flags&^flagMore != 0:
		err = Errorf(syscall.EPROTO, "frame with unknown flags %#x", h.Flags)
	case uint64(h.Args)+uint64(h.Data) != body:
		err = Errorf(syscall.EPROTO, "frame with %d bytes behind its header: it says %d and %d", body, h.Args, h.Data)
	case h.Flags&flagMore != 0 && body == 0:
		err = Errorf(syscall.EPROTO, "frame that carries nothing and goes on")
	}
	if err != nil {
		return h, nil, nil, err
	}
	rest := frame[headerBytes:]
	return h, rest[:h.Args], rest[h.Args:], nil
}

// build appends a frame to dst.
func (h header) build(dst, args, data []byte) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, magic)
	dst = le.AppendUint16(dst, Version)
	dst = le.AppendUint16(dst, headerBytes)
	dst = append(dst, h.Kind, h.Flags)
	dst = le.AppendUint16(dst, uint16(h.Op))
	dst = le.AppendUint32(dst, h.Sequence)
	dst = le.AppendUint32(dst, uint32(len(args)))
	dst = le.AppendUint32(dst, uint32(len(data)))
	return append(append(dst, args...), data...)
}
