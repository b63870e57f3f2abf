package directcopy

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// Inbox is the handler's end. One thread owns it; only Stop may be called from others. It trusts the supervisor, but
// checks what would be a fault.
type Inbox struct {
	page     *page
	arena    []byte
	mapping  []byte   // that the arena lies in
	landing  *landing // nil unless the handler allocates
	channel  int
	waiter   int
	answers  int
	taken    uint32
	answered uint32
	inFlight int
	flags    uint32 // of the hello
	passed   int    // a descriptor that is not used yet, an event's or a shared arena's, or -1
	ending   bool   // the supervisor publishes no more
	stopped  atomic.Bool

	ready   [2]sys.EpollEvent
	message [maxMessage + 1]byte
}

// Attach takes what Mailbox.Handler gave, in that order, and makes or maps an arena, or takes that of memory, which is nil
// unless the handler allocates. The descriptors are the inbox's from now on, whatever Attach returns; programs that the
// handler starts do not get them.
func Attach(fds []int, arenaSize int, memory *Memory) (*Inbox, error) {
	for _, fd := range fds {
		syscall.CloseOnExec(fd)
	}
	b := &Inbox{channel: fds[0], waiter: fds[2], answers: fds[3], passed: -1}
	if len(fds) > 4 {
		b.passed = fds[4]
	}
	p, err := mapPage(fds[1])
	sys.Close(fds[1])
	if err != nil {
		b.Close()
		return nil, fmt.Errorf("map control page: %w", err)
	}
	b.page = p
	if err = p.check(); err == nil {
		err = b.open(arenaSize, memory)
	}
	if err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// check judges the header, as a handler does that may be newer or older than its supervisor.
func (p *page) check() error {
	if p.magic != magic || p.version != version || p.size != pageSize || p.entryCount != Slots || p.answerCount != Slots {
		return fmt.Errorf("map control page: magic %#x, version %d, size %d are not those of ABI %d", p.magic, p.version, p.size, version)
	}
	return nil
}

// open makes the first arena.
func (b *Inbox) open(size int, memory *Memory) error {
	if memory == nil {
		return b.makeArena(size)
	}
	b.landing = &landing{memory: memory}
	if memory.Arena != nil && b.passed < 0 {
		b.arena = memory.Arena
		return nil
	}
	err := b.makeArena(size)
	memory.Arena = b.arena
	return err
}

// makeArena makes an arena, or maps a shared one if its file was passed.
func (b *Inbox) makeArena(size int) (err error) {
	if b.passed < 0 {
		b.arena, b.mapping, err = newArena(size)
		return err
	}
	b.arena, err = mapArena(size, b.passed)
	b.mapping = b.arena
	sys.Close(b.passed)
	b.passed = -1
	return err
}

func (b *Inbox) dropArena() {
	if b.mapping != nil {
		sys.Munmap(b.mapping) //nolint:errcheck // it is one of ours
	}
	b.arena, b.mapping = nil, nil
}

// Hello says that the handler is ready, with so many events in flight, and tells the supervisor the nonce that it
// finds in its arena. It returns when the next thing to come is an event; io.EOF says that none will.
func (b *Inbox) Hello(inFlight int) error {
	b.inFlight = inFlight // for the next arena's
	hello := Hello{
		ArenaAddr: b.address(),
		ArenaSize: uint64(len(b.arena)),
		PID:       uint32(os.Getpid()),
		TID:       uint32(syscall.Gettid()),
		InFlight:  uint32(inFlight),
		Flags:     b.landing.flags() | b.flags,
	}
	if err := b.send(kindHello, 0, hello.append(nil)); err != nil {
		return err
	}
	msg, err := b.receive()
	if err != nil {
		return err
	}
	switch msg.kind {
	case kindNonce:
		return b.send(kindNonce, 0, b.arena[:nonceSize])
	case kindStop:
		return io.EOF
	}
	return fmt.Errorf("say hello: got %v", msg.kind)
}

// Destructs has hellos say that the program has a destructor.
func (b *Inbox) Destructs() { b.flags |= flagDestruct }

// address is where the arena begins.
func (b *Inbox) address() uint64 { return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b.arena)))) }

// Take waits for the next event. It returns io.EOF when there is none to come: after Stop, when the supervisor said so
// and what it published is done, or when the supervisor is gone.
func (b *Inbox) Take() (Event, error) {
	for !b.stopped.Load() {
		if b.page.head.Load() != b.taken {
			return b.take()
		}
		if b.ending {
			break
		}
		b.page.handlerSleeps.Store(1)
		if b.page.head.Load() != b.taken { // it came before the flag: see wake
			b.page.handlerSleeps.Store(0)
			continue
		}
		if err := b.sleep(); err != nil {
			return Event{}, err
		}
	}
	return Event{}, io.EOF
}

// sleep waits for the doorbell or a message, and does what the message says.
func (b *Inbox) sleep() error {
	_, err := b.wait(-1)
	b.page.handlerSleeps.Store(0)
	return err
}

// Poll is Take for a program that waits elsewhere: ok is false when there is no event now. From then on Waiter polls
// readable when it is worth another look.
func (b *Inbox) Poll() (e Event, ok bool, err error) {
	for !b.stopped.Load() {
		if b.page.head.Load() != b.taken {
			e, err = b.take()
			return e, err == nil, err
		}
		if b.ending {
			break
		}
		n, err := b.wait(0)
		if err != nil {
			return e, false, err
		}
		if n > 0 {
			continue
		}
		b.page.handlerSleeps.Store(1) // and it stays so: who looks again finds out
		if b.page.head.Load() == b.taken {
			return e, false, nil
		}
	}
	return e, false, io.EOF
}

// Waiter is the descriptor to wait at, for reading, when Poll had nothing. It is the inbox's.
func (b *Inbox) Waiter() int { return b.waiter }

// wait waits for the doorbell or a message, for ever if timeout is negative, and does what the message says. It returns
// how many of the two there were.
func (b *Inbox) wait(timeout time.Duration) (n int, err error) {
	n, err = sys.EpollWait(b.waiter, b.ready[:], timeout)
	if err != nil {
		return 0, fmt.Errorf("wait for event: %w", err)
	}
	return n, b.listen(n)
}

// listen does what the messages among n ready descriptors say.
func (b *Inbox) listen(n int) error {
	for i := range b.ready[:n] {
		if b.ready[i].Data() != waitChannel {
			continue
		}
		msg, err := b.receive()
		if err != nil {
			return err
		}
		switch msg.kind {
		case kindDescriptor: // receive keeps it
		case kindStop:
			b.ending = true // after what was published before it
		case kindGrow:
			if err := b.grow(int(msg.number)); err != nil {
				return err
			}
		case kindAlloc:
			if err := b.allocate(msg); err != nil {
				return err
			}
		default:
			return fmt.Errorf("wait for event: got %v", msg.kind)
		}
	}
	return nil
}

// take takes the oldest published event.
func (b *Inbox) take() (Event, error) {
	at := &b.page.entries[b.taken%Slots]
	offset, size, flags := at.offset.Load()-b.origin(), uint64(at.size.Load()), at.flags.Load()
	if arena := uint64(len(b.arena)); offset > arena || size > arena-offset {
		return Event{}, fmt.Errorf("take event: %d bytes at %d are not in the arena", size, offset)
	}
	e, err := decode(b.arena[offset : offset+size])
	if err != nil {
		return e, err
	}
	for flags&flagDescriptor != 0 && b.passed < 0 {
		msg, err := b.receive()
		if err != nil {
			return e, err
		}
		if msg.kind != kindDescriptor {
			return e, fmt.Errorf("take event: got %v, not its descriptor", msg.kind)
		}
	}
	if flags&flagDescriptor != 0 {
		e.FD, b.passed = b.passed, -1
	}
	if b.landing != nil {
		b.landing.blocks[e.Number%Slots] = span{offset: offset, size: size}
	}
	b.taken++
	b.page.taken.Store(b.taken)
	return e, nil
}

// receive waits for one message. A descriptor that comes with it is kept for its event.
func (b *Inbox) receive() (msg message, err error) {
	n, fd, err := sys.ReceiveDescriptor(b.channel, b.message[:])
	if fd >= 0 {
		if b.passed >= 0 { // cannot be: it comes only when no event is in flight
			sys.Close(b.passed)
		}
		b.passed = fd
	}
	if err == nil && n == 0 || errors.Is(err, syscall.ECONNRESET) { // reset: it ended with messages of ours unread
		return msg, io.EOF
	}
	if err != nil {
		return msg, fmt.Errorf("read message: %w", err)
	}
	return parseMessage(b.message[:n])
}

// Answer tells the fate of an event that was taken; its memory is the supervisor's again. A text longer than MaxText is
// cut, a reply longer than MaxReply is the end of the handler. A delay counts in whole milliseconds, rounded up.
func (b *Inbox) Answer(a Answer) error {
	a.Text = a.Text[:min(len(a.Text), MaxText)]
	if a.Text != "" {
		if err := b.send(kindError, uint32(a.Number), []byte(a.Text)); err != nil {
			return err
		}
	}
	for piece := range slices.Chunk(a.Reply, maxBody) {
		if err := b.send(kindReply, uint32(a.Number), piece); err != nil {
			return err
		}
	}
	ms := min((max(a.Delay, 0)+time.Millisecond-1)/time.Millisecond, 1<<32-1)
	at := &b.page.answers[b.answered%Slots] // free: there are as many answers as events in flight at most
	at.number.Store(a.Number)
	at.outcome.Store(uint64(a.Outcome) | uint64(ms)<<32)
	at.text.Store(uint64(len(a.Text)))
	at.reply.Store(uint64(len(a.Reply)))
	b.answered++
	b.page.answered.Store(b.answered)
	err := wake(&b.page.supervisorSleeps, b.answers)
	b.landing.free(a.Number)
	return err
}

func (b *Inbox) send(k kind, number uint32, body []byte) error {
	err := sys.SendMessage(b.channel, appendMessage(b.message[:0], k, number, body), true)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return io.EOF
	}
	if err != nil {
		return fmt.Errorf("send to supervisor: %w", err)
	}
	return nil
}

// Stop makes Take return io.EOF, now or as soon as it is called. It ends the reading side of the channel, which wakes
// the thread that sleeps in Take.
func (b *Inbox) Stop() {
	b.stopped.Store(true)
	sys.ShutdownRead(b.channel) //nolint:errcheck // it is shut down when the supervisor is gone
}

// Close gives everything back. Events that were taken are gone with the arena.
func (b *Inbox) Close() {
	for _, fd := range []int{b.channel, b.waiter, b.answers, b.passed} {
		if fd >= 0 {
			sys.Close(fd)
		}
	}
	if b.page != nil {
		b.page.unmap() //nolint:errcheck // the range is mapped
	}
	b.dropArena()
}
