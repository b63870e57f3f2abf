package control

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// messageTime is how long one message may take from its first frame to its last, in either direction. After it the
// connection is closed: nobody waits for a client that stopped half-way or does not read.
const messageTime = 10 * time.Second

// conn carries messages over one SOCK_SEQPACKET connection. One goroutine may read and one write.
type conn struct {
	*net.UnixConn
	patience time.Duration // messageTime, but in tests
	frame    []byte        // the frame being read
	room     *budget       // what long messages are counted against, nil for none
	raw      syscall.RawConn
	ahead    packet     // that is in frame already
	takes    func() int // how many descriptors are taken with a packet that is read now; the kernel drops others, man 7 unix; nil: none

	timed bool      // reading has a deadline
	until time.Time // and writing this one

	// Of small messages that are written together.
	packed []byte
	small  [][]byte
}

func newConn(u *net.UnixConn, patience time.Duration, room *budget) *conn {
	raw, err := u.SyscallConn()
	if err != nil {
		panic("aem: internal error: " + err.Error()) // it refuses a nil connection only
	}
	// One byte more than a frame may have: a longer one is cut by the kernel and would pass for whole.
	return &conn{UnixConn: u, patience: patience, frame: make([]byte, MaxFrameBytes+1), room: room, raw: raw}
}

// packet is what was received into a conn's frame.
type packet struct {
	there bool
	bytes int
	fds   []int
	err   error
}

// receive receives one packet, and if it is to waits for it.
func (c *conn) receive(wait bool) (p packet) {
	if c.ahead.there {
		p, c.ahead = c.ahead, packet{}
		return p
	}
	waitErr := c.raw.Read(func(fd uintptr) bool {
		most := 0
		if c.takes != nil {
			most = c.takes()
		}
		p.bytes, p.fds, p.err = sys.ReceiveDescriptors(int(fd), c.frame, most)
		p.there = !errors.Is(p.err, syscall.EAGAIN)
		return p.there || !wait
	})
	switch {
	case waitErr != nil:
		p.there, p.err = true, waitErr
	case p.there && p.err == nil && p.bytes == 0: // or an empty packet, which nobody sends
		p.err = io.EOF
	}
	return p
}

// more reports whether a whole message has come by now, for which read will not wait.
func (c *conn) more() bool {
	c.ahead = c.receive(false)
	const flags = 9 // in a header
	return c.ahead.there && c.ahead.err == nil && c.ahead.bytes > flags && c.frame[flags]&flagMore == 0
}

// read waits for a message, as long as it takes, and then for the rest of it, which must come in time. With an *Error
// the message holds what is needed to refuse it. What it took of the budget, message.held, stays taken.
func (c *conn) read() (message, error) {
	var a assembly
	if c.timed {
		if c.timed = false; c.SetReadDeadline(time.Time{}) != nil {
			return a.message, net.ErrClosed
		}
	}
	for {
		p := c.receive(true)
		a.fds = append(a.fds, p.fds...)
		if os.IsTimeout(p.err) {
			return a.message, Errorf(syscall.ETIMEDOUT, "message not whole after %v", c.patience)
		}
		if p.err != nil {
			return a.message, p.err
		}
		whole, err := a.add(c.frame[:p.bytes])
		if err != nil || whole {
			return a.message, err
		}
		if err := c.room.take(a.size() - a.held); err != nil {
			return a.message, err
		}
		a.held = a.size()
		if !c.timed {
			if c.timed = true; c.SetReadDeadline(time.Now().Add(c.patience)) != nil {
				return a.message, net.ErrClosed
			}
		}
	}
}

// write sends a message, which must be taken by the other end in time. Its descriptors go with its first frame.
func (c *conn) write(m message, patience time.Duration) error {
	if err := c.hurry(patience); err != nil {
		return err
	}
	var rights []byte
	if len(m.fds) > 0 {
		rights = syscall.UnixRights(m.fds...)
	}
	return m.split(func(frame []byte) error {
		_, _, err := c.WriteMsgUnix(frame, rights, nil)
		rights = nil
		return err
	})
}

// writeAll is write for many messages, of which those that are small go together.
func (c *conn) writeAll(all []message, patience time.Duration) error {
	if len(all) > 1 && c.packed == nil {
		c.packed = make([]byte, 0, packedBytes)
	}
	for len(all) > 0 {
		c.small = c.small[:0]
		buf := c.packed[:0]
		for _, m := range all {
			n := len(buf)
			if len(c.small) == sys.MessageBatch || len(m.fds) > 0 || m.size()+headerBytes > cap(buf)-n {
				break
			}
			buf = header{Kind: m.kind, Op: m.op, Sequence: m.sequence}.build(buf, m.args, m.data)
			c.small = append(c.small, buf[n:])
		}
		if len(c.small) == 0 {
			if err := c.write(all[0], patience); err != nil {
				return err
			}
			all = all[1:]
			continue
		}
		if err := c.send(c.small, patience); err != nil {
			return err
		}
		all = all[len(c.small):]
	}
	return nil
}

// send sends frames.
func (c *conn) send(frames [][]byte, patience time.Duration) error {
	if err := c.hurry(patience); err != nil {
		return err
	}
	var err error
	waitErr := c.raw.Write(func(fd uintptr) bool {
		for len(frames) > 0 {
			var n int
			if n, err = sys.SendMessages(int(fd), frames); err != nil {
				return !errors.Is(err, syscall.EAGAIN)
			}
			frames = frames[n:]
		}
		return true
	})
	if waitErr != nil {
		return waitErr
	}
	return err
}

// packedBytes is how many bytes of small messages go together.
const packedBytes = 16 << 10

// hurry sets the time until which what is written next must be taken. Small messages come by thousands, and have it a little
// shorter rather than each its own.
func (c *conn) hurry(patience time.Duration) error {
	now := time.Now()
	if c.until.After(now.Add(patience-patience/8)) && !c.until.After(now.Add(patience)) {
		return nil
	}
	c.until = now.Add(patience)
	return c.SetWriteDeadline(c.until)
}

// refuse says why the connection ends here. The other end may be in the middle of a message: what it has sent is taken
// out of the socket first, because closing with unread data would reset the connection before the refusal is read
// (net/unix/af_unix.c, unix_release_sock).
func (c *conn) refuse(m message, e *Error) {
	if c.write(e.reply().message(m.op, m.sequence), c.patience) != nil || c.CloseRead() != nil {
		return
	}
	for c.SetReadDeadline(time.Time{}) == nil {
		if _, err := c.Read(c.frame); err != nil {
			return
		}
	}
}

// Peer is who is at the other end, as the kernel saw it when the connection was made.
type Peer struct {
	UID, GID uint32
	PID      int32  // by now it can be another process: Session.Process is the one that connected
	App      string // the one that it may act on, whoever it is: a handler process, which was given the connection; "": by its user

	Session *Session // nil: nobody connected
}

// peerOf asks for SO_PEERCRED, man 7 unix.
func peerOf(u *net.UnixConn) (Peer, error) {
	raw, err := u.SyscallConn()
	if err != nil {
		return Peer{}, fmt.Errorf("read peer: %w", err)
	}
	var cred *syscall.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err == nil {
		err = credErr
	}
	if err != nil {
		return Peer{}, fmt.Errorf("read peer: %w", err)
	}
	return Peer{UID: cred.Uid, GID: cred.Gid, PID: cred.Pid}, nil
}
