package source

import (
	"errors"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// send gives the peer a reply, or keeps what it does not take now. It reports whether all is sent: the frame that the
// reply is to is used up either way.
func (c *conn) send(reply []byte) bool {
	if len(reply) > maxReplyBytes {
		c.fail(errLongReply)
		return false
	}
	var room [lengthBytes]byte
	head := c.reading.spec.Frame.head(reply, &room)
	sent, err := 0, error(nil)
	if head == nil {
		sent, err = sys.Send(c.fd, reply)
	} else {
		sent, err = sys.SendBoth(c.fd, head, reply)
	}
	if err != nil && !errors.Is(err, sys.EAGAIN) {
		c.close(endReset)
		return false
	}
	c.sent += int64(sent)
	if sent == len(head)+len(reply) {
		return true
	}
	c.keep(head, reply, sent)
	return false
}

var errLongReply = errors.New("a reply is longer than 16 MiB")

// keep waits until the peer takes the rest.
func (c *conn) keep(head, reply []byte, sent int) {
	s := c.reading.source
	rest := s.buffers.get(len(head) + len(reply))
	rest = append(append(rest, head...), reply...)
	c.consume()
	c.slow = &slow{reply: rest, sent: sent}
	s.env.Poller.Change(c.watch, sys.EPOLLOUT)
	c.poll()
	c.bePatient()
}

// bePatient gives the peer time to take something.
func (c *conn) bePatient() {
	c.reading.source.env.Alarms.After(&c.slow.alarm, replyPatience, func() { c.close(endSlow) })
}

// flush sends more of the reply.
func (c *conn) flush() {
	s := c.reading.source
	n, err := sys.Send(c.fd, c.slow.reply[c.slow.sent:])
	if err != nil {
		if !errors.Is(err, sys.EAGAIN) {
			c.close(endReset)
		}
		return
	}
	c.sent += int64(n)
	if c.slow.sent += n; c.slow.sent < len(c.slow.reply) {
		c.bePatient()
		return
	}
	c.endSlow()
	s.env.Poller.Change(c.watch, sys.EPOLLIN)
	c.goOn()
}

// endSlow lets go of what waiting for the peer needed.
func (c *conn) endSlow() {
	c.slow.alarm.Stop()
	c.reading.source.buffers.put(c.slow.reply)
	c.slow = nil
}

// finish ends our side and closes when the peer has ended too: closing with something unread would have the kernel
// take back what was sent (RFC 1122, 4.2.2.13).
func (c *conn) finish(why string) {
	c.release()
	c.count(0)
	if c.ended || sys.ShutdownWrite(c.fd) != nil {
		c.close(why)
		return
	}
	c.slow = &slow{lingering: true, why: why}
	c.poll()
	if c.slow != nil {
		c.reading.source.env.Alarms.After(&c.slow.alarm, lingerPatience, func() { c.close(why) })
	}
}

// discard throws away what still comes, up to a bound.
func (c *conn) discard() {
	n, err := sys.Receive(c.fd, c.reading.source.scratch)
	if errors.Is(err, sys.EAGAIN) {
		return
	}
	if c.slow.thrown += n; err != nil || n == 0 || c.slow.thrown > lingerBytes {
		c.close(c.slow.why)
	}
}
