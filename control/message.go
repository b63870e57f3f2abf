package control

import "syscall"

// message is one request or reply, whole: JSON and, behind it, raw data.
type message struct {
	kind     uint8
	op       Op
	sequence uint32
	args     []byte
	data     []byte
	fds      []int // descriptors that go with it
	held     int   // bytes counted against a budget
}

// size is how many bytes it holds.
func (m *message) size() int { return len(m.args) + len(m.data) }

// split hands the message to send as frames, in order. The frame is valid until send returns.
func (m message) split(send func(frame []byte) error) error {
	const room = MaxFrameBytes - headerBytes
	frame := make([]byte, 0, headerBytes+min(room, len(m.args)+len(m.data)))
	for args, data := m.args, m.data; ; {
		a := min(room, len(args))
		d := min(room-a, len(data))
		h := header{Kind: m.kind, Op: m.op, Sequence: m.sequence}
		if a < len(args) || d < len(data) {
			h.Flags = flagMore
		}
		if err := send(h.build(frame, args[:a], data[:d])); err != nil {
			return err
		}
		if h.Flags == 0 {
			return nil
		}
		args, data = args[a:], data[d:]
	}
}

// assembly is a message whose frames come in one by one. The zero assembly has none.
type assembly struct {
	message
	begun bool
}

// add takes the next frame, copying what it carries, and reports whether the message is whole.
func (a *assembly) add(frame []byte) (whole bool, err error) {
	h, args, data, err := parse(frame)
	if !a.begun {
		a.begun = true
		a.kind, a.op, a.sequence = h.Kind, h.Op, h.Sequence // of a bad frame too: a refusal names what it refuses
	}
	switch {
	case err != nil:
		return false, err
	case h.Kind != a.kind || h.Op != a.op || h.Sequence != a.sequence:
		return false, Errorf(syscall.EPROTO, "frame of message %d inside message %d", h.Sequence, a.sequence)
	case len(args) > 0 && len(a.data) > 0:
		return false, Errorf(syscall.EPROTO, "frame with arguments behind data")
	case a.size()+len(args)+len(data) > MaxMessageBytes:
		return false, Errorf(syscall.EMSGSIZE, "message of more than %d bytes", MaxMessageBytes)
	}
	a.args = append(a.args, args...)
	a.data = append(a.data, data...)
	return h.Flags&flagMore == 0, nil
}
