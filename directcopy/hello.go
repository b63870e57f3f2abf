package directcopy

import (
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// phase is how far the hello has come.
type phase uint8

const (
	phaseStarted phase = iota // its hello is awaited: the first, or that of another arena
	phaseGreeted              // it said hello; its arena is a claim
	phaseAsked                // the nonce lies in the arena
	phaseProved               // it told the nonce: the arena is its own and we may write there
)

// Progress is what a call of Receive learned.
type Progress uint8

// What Receive reports.
const (
	Nothing Progress = iota // no step, for now
	Greeted                 // the handler said hello: Prove is next
	Proved                  // the handler is ready for events
	Placed                  // the handler said where what Ask asked for is to land: Reserve is next
	More                    // there may be more to read

	// Of a zygote's children. Child tells which.
	Born     // one is there, for an event that was published
	Unborn   // none could be made for one
	Answered // one told its event's fate
	Ended    // the zygote told how one ended, as AskEnd wanted
)

// maxBurst bounds how many messages one call of Receive reads, so that a handler that sends without end has no more of
// its supervisor's time than the others.
const maxBurst = 64

// Receive reads from the channel, without waiting, until there was a step, nothing is left to read, or it has read much:
// the channel polls readable again then. The error is io.EOF when the handler closed its end, as it does when it
// dies, and what it answered before then is still to be read; every other error is a lie or garbage.
func (m *Mailbox) Receive() (Progress, error) {
	for range maxBurst {
		msg, ok, err := m.receive()
		if err != nil || !ok {
			return Nothing, err
		}
		if progress, err := m.hear(msg); progress != Nothing || err != nil {
			return progress, err
		}
	}
	return More, nil
}

// hear does what a message says.
func (m *Mailbox) hear(msg message) (progress Progress, err error) {
	if m.zygote != nil {
		if msg.kind > kindNonce {
			return m.hearChild(msg)
		}
		if err = m.zygote.speaks(msg); err != nil {
			return Nothing, err
		}
	}
	switch {
	case msg.kind == kindHello && m.phase == phaseStarted:
		if m.hello, err = parseHello(msg.body); err != nil {
			return Nothing, err
		}
		if m.zygote != nil {
			m.hello.PID = uint32(m.zygote.pid)
		}
		if m.hello.ArenaSize < m.wanted || m.shared != nil && m.hello.ArenaSize > m.wanted {
			return Nothing, fmt.Errorf("read hello: an arena of %d bytes, want one of %d", m.hello.ArenaSize, m.wanted)
		}
		if err = m.judgeFlags(); err != nil {
			return Nothing, err
		}
		m.base, m.origin = m.bounds()
		m.phase = phaseGreeted
		return Greeted, nil
	case msg.kind == kindNonce && m.phase == phaseAsked:
		if string(msg.body) != string(m.nonce[:]) {
			return Nothing, errors.New("prove arena: the handler found other bytes there than were written")
		}
		if m.ring.size != 0 {
			m.stats.Grown++
		}
		m.phase, m.ring.size = phaseProved, m.hello.ArenaSize
		return Proved, nil
	case msg.kind == kindPlace && m.request.open():
		return Placed, m.told(msg)
	case (msg.kind == kindError || msg.kind == kindReply) && m.phase == phaseProved:
		return Nothing, m.keep(msg)
	}
	return Nothing, fmt.Errorf("read message: %v is not for now", msg.kind)
}

// judgeFlags refuses a handler that is another than it was asked to be.
func (m *Mailbox) judgeFlags() error {
	want := uint32(0)
	if m.request != nil {
		want |= flagAppAlloc
	}
	if m.filtered {
		want |= flagFiltered
	}
	if m.zygote != nil {
		want |= flagZygote
	}
	switch got := m.hello.Flags &^ flagDestruct; { // which is the program's to say
	case want&^got&flagAppAlloc != 0:
		return errors.New("read hello: the handler brings no allocator, and was asked to say where events land")
	case want&^got&flagFiltered != 0:
		return errors.New("read hello: the handler did not install the second filter: its SDK knows nothing of policy.seccomp_ready")
	case want&^got&flagZygote != 0:
		return errors.New("read hello: the program does not fork for its events: its SDK knows nothing of life = \"zygote\"")
	case got != want:
		return fmt.Errorf("read hello: flags %#x, asked for were %#x", m.hello.Flags, want)
	}
	return nil
}

// bounds is what Mailbox.base and Mailbox.origin are from the hello on.
func (m *Mailbox) bounds() (base, origin uint64) {
	if m.request != nil { // places are addresses
		origin = m.hello.ArenaAddr
	}
	if m.shared != nil {
		return -origin, origin // our mapping begins at 0
	}
	return m.hello.ArenaAddr - origin, origin
}

// receive reads one message; ok is false when there is none.
func (m *Mailbox) receive() (msg message, ok bool, err error) {
	n, from, err := m.receiveBytes()
	if errors.Is(err, syscall.ECONNRESET) {
		// The handler ended with messages of ours unread. That is told once, before what it sent itself
		// (net/core/datagram.c, __skb_try_recv_datagram).
		n, from, err = m.receiveBytes()
	}
	switch {
	case errors.Is(err, syscall.EAGAIN):
		return msg, false, nil
	case err != nil:
		return msg, false, fmt.Errorf("read message: %w", err)
	case n == 0:
		return msg, false, io.EOF
	}
	msg, err = parseMessage(m.message[:n])
	msg.from = from
	return msg, err == nil, err
}

func (m *Mailbox) receiveBytes() (n, from int, err error) {
	if m.zygote != nil {
		return sys.ReceiveFrom(m.channel, m.message[:])
	}
	n, err = sys.ReceiveMessage(m.channel, m.message[:])
	return n, 0, err
}

// Hello is what the handler said of itself, from Greeted on. The PID of a zygote is what the kernel says.
func (m *Mailbox) Hello() Hello { return m.hello }

// Prove writes a nonce to the start of the arena and asks the handler what it finds there. What comes back proves three
// things at once: that we may write to process pid, that the address is right, and that pid is who speaks. Of a shared
// arena it proves that the handler has it, whichever its pid is.
func (m *Mailbox) Prove(pid int) error {
	if m.phase != phaseGreeted {
		return errors.New("prove arena: it is not the time")
	}
	if err := sys.Getrandom(m.nonce[:]); err != nil {
		return fmt.Errorf("prove arena: %w", err)
	}
	v := vector{}
	v.to(m.base + m.origin)
	v.add(m.nonce[:])
	if err := m.write(pid, &v); err != nil { // never short: the arena begins at a cache line
		return fmt.Errorf("prove arena: %w", err)
	}
	m.phase = phaseAsked
	return m.send(kindNonce, 0, -1)
}
