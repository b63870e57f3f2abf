package directcopy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// A zygote is a handler that forks for each event: docs/abi.md, section 10. It and its children speak over one channel,
// so the kernel is asked to say with each message who sent it. A process cannot speak for another then, and a child
// need not tell its number, which in a namespace of its own would not be ours.
//
// An event is in flight until its child is born, or cannot be: from then on the child has its own copy of the arena. A
// child is known from its birth until its zygote told how it ended; the zygote may not wait for it before it is asked,
// so that until then the child's number is nobody else's.

// zygote is what a mailbox knows of one.
type zygote struct {
	pid      int               // who said hello; 0 before that
	children map[uint32]*child // by the low half of their events' numbers
	pids     map[int]bool      // theirs
	last     Child
}

func newZygote() *zygote { return &zygote{children: map[uint32]*child{}, pids: map[int]bool{}} }

// child is one process that a zygote forked, as far as it spoke.
type child struct {
	number   uint64 // of its event
	pid      int
	said     said
	answered bool
	asked    bool // the zygote is asked how it ended
}

// Child is what was told last of one child.
type Child struct {
	Number uint64        // of its event
	PID    int           // Born: who said so
	Errno  syscall.Errno // Unborn: why
	Answer Answer        // Answered
	Exit   sys.Exit      // Ended
}

// Child is what the last step of Receive was about, if it was about a zygote's child.
func (m *Mailbox) Child() Child { return m.zygote.last }

// has reports whether a child is known by a number's low half. No event gets the number then: it would be taken for the
// child's.
func (z *zygote) has(number uint64) bool { return z != nil && z.children[uint32(number)] != nil }

// speaks holds a hello to the process that said the first one.
func (z *zygote) speaks(msg message) error {
	if z.pid == 0 {
		z.pid = msg.from
	}
	if msg.from == 0 || msg.from != z.pid {
		return fmt.Errorf("read message: %v from process %d, the zygote is %d", msg.kind, msg.from, z.pid)
	}
	return nil
}

// hearChild does what a message of a zygote, or of a child, says.
func (m *Mailbox) hearChild(msg message) (Progress, error) {
	step, err := m.childStep(msg)
	if err != nil {
		return Nothing, err
	}
	return step, nil
}

func (m *Mailbox) childStep(msg message) (Progress, error) {
	z := m.zygote
	switch msg.kind {
	case kindBorn:
		return Born, m.born(msg)
	case kindUnborn:
		return Unborn, m.unborn(msg)
	case kindError, kindReply:
		k, err := z.child(msg)
		if err != nil {
			return Nothing, err
		}
		return Nothing, k.said.keep(msg)
	case kindAnswer:
		return Answered, z.answered(msg)
	case kindEnded:
		return Ended, z.ended(msg)
	}
	return Nothing, fmt.Errorf("read message: %v is not for now", msg.kind)
}

// born takes an event out of flight: a process has it.
func (m *Mailbox) born(msg message) error {
	z := m.zygote
	number, err := m.inHand(msg)
	switch {
	case err != nil:
		return err
	case len(msg.body) != 0:
		return fmt.Errorf("read message: %d bytes in a born", len(msg.body))
	case msg.from == 0 || msg.from == z.pid || z.pids[msg.from]:
		return fmt.Errorf("read message: event %d is born to process %d, which is no new child", number, msg.from)
	}
	z.children[msg.number], z.pids[msg.from] = &child{number: number, pid: msg.from}, true
	m.land(number)
	z.last = Child{Number: number, PID: msg.from}
	return nil
}

// unborn takes an event out of flight that no process could be made for.
func (m *Mailbox) unborn(msg message) error {
	number, err := m.inHand(msg)
	if err == nil {
		err = m.zygote.speaks(msg)
	}
	if err != nil {
		return err
	}
	const mostErrno = 4095 // include/linux/err.h, MAX_ERRNO
	if len(msg.body) != unbornSize {
		return fmt.Errorf("read message: %d bytes in an unborn", len(msg.body))
	}
	why := binary.LittleEndian.Uint64(msg.body)
	if why < 1 || why > mostErrno {
		return fmt.Errorf("read message: event %d is unborn because of %d, which is no errno", number, why)
	}
	m.land(number)
	m.zygote.last = Child{Number: number, Errno: syscall.Errno(why)}
	return nil
}

// land gives the place of an event back that the handler has out of the arena.
func (m *Mailbox) land(number uint64) {
	m.ring.free(number)
	m.inFlight--
}

// child is the one that a message of its own is about.
func (z *zygote) child(msg message) (*child, error) {
	k := z.children[msg.number]
	switch {
	case k == nil:
		return nil, fmt.Errorf("read message: %v of event %d, which no child has", msg.kind, msg.number)
	case k.pid != msg.from:
		return nil, fmt.Errorf("read message: %v of event %d from process %d, its child is %d", msg.kind, msg.number, msg.from, k.pid)
	case k.answered:
		return nil, fmt.Errorf("read message: %v of event %d, which is answered", msg.kind, msg.number)
	}
	return k, nil
}

func (z *zygote) answered(msg message) error {
	k, err := z.child(msg)
	if err != nil {
		return err
	}
	if len(msg.body) != answerSize {
		return fmt.Errorf("read message: %d bytes in an answer", len(msg.body))
	}
	le := binary.LittleEndian
	w := answerWords{le.Uint64(msg.body), le.Uint64(msg.body[8:]), le.Uint64(msg.body[16:]), le.Uint64(msg.body[24:]), le.Uint64(msg.body[32:])}
	if w.number != k.number {
		return fmt.Errorf("read message: an answer to event %d from the child of event %d", w.number, k.number)
	}
	a, err := w.judge()
	if err != nil {
		return err
	}
	s, err := k.said.take(k.number, w.text, w.reply)
	if err != nil {
		return err
	}
	a.Text, a.Reply = s.text, s.reply
	k.answered = true
	z.last = Child{Number: k.number, Answer: a}
	return nil
}

// AskEnd asks the zygote how a child ended, which it has.
func (m *Mailbox) AskEnd(number uint64) error {
	k := m.zygote.children[uint32(number)]
	if k == nil || k.asked {
		return errors.New("ask for end: there is no such child, or it was asked for")
	}
	k.asked = true
	return m.send(kindEnded, uint32(number), -1)
}

func (z *zygote) ended(msg message) error {
	k := z.children[msg.number]
	if err := z.speaks(msg); err != nil {
		return err
	}
	switch {
	case k == nil || !k.asked:
		return fmt.Errorf("read message: end of event %d's child, which was not asked for", msg.number)
	case len(msg.body) != endedSize:
		return fmt.Errorf("read message: %d bytes in an ended", len(msg.body))
	}
	status := binary.LittleEndian.Uint64(msg.body)
	exit, ok := sys.ExitOf(uint32(status))
	if !ok || status>>32 != 0 {
		return fmt.Errorf("read message: child of event %d ended with %#x, which is no status of an end", k.number, status)
	}
	z.forget(k)
	z.last = Child{Number: k.number, Exit: exit}
	return nil
}

func (z *zygote) forget(k *child) {
	delete(z.children, uint32(k.number))
	delete(z.pids, k.pid)
}

// Forget takes a child as gone whose zygote cannot be asked any more.
func (m *Mailbox) Forget(number uint64) {
	if k := m.zygote.children[uint32(number)]; k != nil {
		m.zygote.forget(k)
	}
}

// PublishEach is Publish for a zygote. Each block goes with the descriptors that its child is to have as standard
// output and standard error, and a third one if the event has one. They stay the caller's. After an error some are
// published: such a handler is to be ended.
func (r *Reservation) PublishEach(fds [][]int) error {
	m := r.mailbox
	if m.zygote == nil || r.count == 0 || r.count != len(fds) || !r.vector.done() {
		return errors.New("publish: not reserved, not copied, or not to a zygote")
	}
	first := r.first
	for i, f := range fds {
		flags := uint32(0)
		if len(f) > zygoteStreams {
			flags = flagDescriptor
		}
		r.enter(i, flags)
	}
	r.pass() // before the messages, each of which wakes it: what they are for is there
	for i, f := range fds {
		var buf [messageHeaderSize]byte
		b := appendMessage(buf[:0], kindDescriptor, uint32(first)+uint32(i), nil)
		if err := sys.SendDescriptors(m.channel, b, f, false); err != nil {
			return fmt.Errorf("send to handler: %w", err)
		}
	}
	return nil
}

// zygoteStreams is how many descriptors come with an event of a zygote that has none itself.
const zygoteStreams = 2
