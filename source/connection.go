package source

import (
	"errors"
	"slices"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/internal/timing"
)

// conn is one connection of socket.read, from being accepted until it is closed. What it does:
//
//	resting     polled, for another frame or the rest of one
//	busy        its frame is an event: nothing more is read, and it is not polled once more has come
//	sending     a reply that its peer did not take at once: polled for room, and not read from
//	lingering   our end is sent: what still comes is thrown away until its peer ends too
//
// Its peer may end its own side at any time: what came before that is handled and answered first.
type conn struct {
	reading *reading
	place   int // in reading.conns
	fd      int // -1: closed
	watch   Watch
	facts   []aem.Fact // of all its events
	guest   *guest     // nil: nobody counts
	opened  int64      // ns since 1970
	rested  int64      // since when it rests, as timing.Now gives it; only where there is a bound to that

	received, sent int64 // bytes

	buf     []byte // what has come, nil when nothing has
	from    int    // what comes before is used up
	seen    int    // from here on nobody looked for the end of a frame
	to      int    // the event's frame ends here
	counted int    // what it counts for in reading.unfinished
	slow    *slow  // while sending or lingering

	packets bool // every read is a frame
	busy    bool
	quiet   bool // not polled
	waits   bool // in reading.waiting
	ended   bool // its peer ended its side
	final   bool // what is under way is the last
}

// slow is what a connection needs beside while it waits for its peer.
type slow struct {
	reply     []byte // being sent
	sent      int    // of it
	lingering bool
	thrown    int    // bytes thrown away
	why       string // it ends
	alarm     timing.Alarm
}

// Bounds of a connection, and of all of a job together.
const (
	maxReplyBytes  = 16 << 20         // a longer reply ends its connection
	maxUnfinished  = 64 << 20         // bytes of beginnings of frames, over all connections: whose would be more is ended
	replyPatience  = 30 * time.Second // with a peer that takes nothing of its reply
	lingerPatience = 2 * time.Second  // with a peer that does not end after us
	lingerBytes    = 1 << 20          // it may still send
)

// Why a connection ended, in one word.
const (
	endPeer    = "peer"    // its peer ended it, and all was answered
	endReset   = "reset"   // it broke, or its peer broke it
	endHandler = "handler" // its handler ended it
	endFate    = "fate"    // a frame was not done: its reply is missing, and the next would be taken for it
	endFrame   = "frame"   // a frame was too long, or cut off
	endSlow    = "slow"    // its peer took nothing of its reply for too long
	endIdle    = "idle"    // no frame came for too long
	endStopped = "stopped" // its job was stopped
)

// Ready reads once, or goes on with what its peer keeps waiting.
func (c *conn) Ready(uint32) {
	switch {
	case c.slow != nil && c.slow.lingering:
		c.discard()
	case c.slow != nil:
		c.flush()
	case c.busy:
		c.hush()
	case c.reading.held:
		c.hush()
		c.wait()
	default:
		c.read()
	}
}

// read takes what has come.
func (c *conn) read() {
	s := c.reading.source
	into, direct := s.scratch, false
	if c.from > 0 {
		c.buf, c.from, c.seen = c.buf[:copy(c.buf, c.buf[c.from:])], 0, c.seen-c.from
	}
	if room := c.buf[len(c.buf):cap(c.buf)]; len(room) >= len(into) {
		into, direct = room, true // in the middle of a long frame
	}
	n, err := 0, error(nil)
	if c.packets {
		n, err = sys.ReceivePacket(c.fd, into)
	} else {
		n, err = sys.Receive(c.fd, into)
	}
	switch {
	case errors.Is(err, sys.EAGAIN):
		return
	case err != nil:
		c.close(endReset)
		return
	case n == 0:
		c.ended = true
	case n > len(into) || c.packets && n > c.reading.spec.MaxBytes:
		c.fail(errTooLong)
		return
	case direct:
		c.buf = c.buf[:len(c.buf)+n]
	default:
		c.buf = s.buffers.add(c.buf, into[:n])
	}
	c.received += int64(n)
	c.advance()
}

// advance detects the next frame of what has come, or waits for more.
func (c *conn) advance() {
	r := c.reading
	head, end, ok, err := r.spec.Frame.cut(c.buf[c.from:], c.seen-c.from, r.spec.MaxBytes, c.ended)
	switch {
	case err != nil:
		c.fail(err)
	case ok && r.held:
		c.wait()
	case ok:
		c.detect(c.from+head, c.from+end)
	case c.ended:
		c.close(endPeer)
	default:
		c.rest()
	}
}

// detect makes an event of the frame. Nothing may follow it here: the event may have its fate when it returns.
func (c *conn) detect(head, end int) {
	r := c.reading
	c.count(0)
	c.busy, c.to = true, end
	e := r.source.env.Sink.NewEvent("socket.read")
	e.Facts, e.Data, e.Origin = c.facts, c.buf[head:end:end], c
	r.source.env.Sink.Detected(r.job, e)
}

// rest waits for more, with the beginning of a frame or without anything.
func (c *conn) rest() {
	if c.seen = len(c.buf); c.seen == c.from {
		c.release()
	}
	c.count(cap(c.buf))
	if r := c.reading; r.unfinished > max(maxUnfinished, 2*r.spec.MaxBytes) {
		c.fail(errTooMuch)
		return
	}
	c.poll()
}

var errTooMuch = errors.New("too much memory is in beginnings of frames")

// Ended sends the reply and goes on with the next frame.
func (c *conn) Ended(e *aem.Event, end *aem.Completion) {
	c.busy = false
	if c.reading.spec.Idle > 0 {
		c.rested = timing.Now()
	}
	if e.Pinned {
		c.buf = slices.Clone(c.buf) // the other one is lost to us
	}
	if c.fd < 0 {
		c.release()
		return
	}
	if end.Outcome != aem.Done {
		c.finish(endFate)
		return
	}
	c.final = c.final || end.Hangup
	if len(end.Reply) > 0 && !c.send(end.Reply) {
		return
	}
	c.consume()
	c.goOn()
}

// consume drops the frame that was the event's.
func (c *conn) consume() {
	c.from, c.seen = c.to, c.to
	if c.from == len(c.buf) {
		c.release()
	}
}

// goOn is what follows when an event is answered, or the job takes more again.
func (c *conn) goOn() {
	switch {
	case c.fd < 0 || c.busy || c.slow != nil:
	case c.final && c.reading.stopped:
		c.finish(endStopped)
	case c.final:
		c.finish(endHandler)
	default:
		c.advance()
	}
}

// stop ends the connection of a stopped job, when what is under way is done.
func (c *conn) stop() {
	if c.final = true; !c.busy && c.slow == nil {
		c.close(endStopped)
	}
}

// fail ends a connection whose frames cannot be told.
func (c *conn) fail(err error) {
	r := c.reading
	r.tooLong.add(r.source.env, "connections were closed", "err", err)
	c.finish(endFrame)
}

// close ends the connection at once. A buffer that an event has is left to it.
func (c *conn) close(why string) {
	c.reading.source.env.Poller.Remove(c.watch)
	sys.Close(c.fd)
	c.fd = -1
	c.guest.leave()
	c.count(0)
	if c.slow != nil {
		c.endSlow()
	}
	if !c.busy {
		c.release()
	}
	c.reading.forget(c)
	if told := c.reading.source.env.Closes; told != nil {
		told.closed(c.reading.spec.Name, ending{c.facts, why, c.received, c.sent, c.opened})
	}
}

// wait puts the connection among those that a held job goes on with.
func (c *conn) wait() {
	if !c.waits {
		c.waits = true
		c.reading.waiting = append(c.reading.waiting, c)
	}
}

// hush stops polling, poll begins again.
func (c *conn) hush() {
	c.quiet = true
	c.reading.source.env.Poller.Hold(c.watch)
}

func (c *conn) poll() {
	if !c.quiet {
		return
	}
	c.quiet = false
	if err := c.reading.source.env.Poller.Resume(c.watch); err != nil {
		c.close(endReset) // no memory for it
	}
}

// release gives the buffer back.
func (c *conn) release() {
	c.reading.source.buffers.put(c.buf)
	c.buf, c.from, c.seen = nil, 0, 0
}

// count says what the buffer counts for in the job's beginnings of frames.
func (c *conn) count(bytes int) {
	c.reading.unfinished += bytes - c.counted
	c.counted = bytes
}
