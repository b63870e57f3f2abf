package directcopy

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// FirstDescriptor is the number that the first of Mailbox.Handler's descriptors has in the handler; the others follow.
const FirstDescriptor = 3

// Options is what a handler's arena is to be.
type Options struct {
	ArenaSize int // in bytes, to begin with
	ArenaMax  int // what it may grow to; it does not grow where that is less than ArenaSize

	// Shared makes the arena a file in memory that both sides map. Copies into it need no permission and no pid, and
	// nothing that the handler does can park them.
	Shared bool

	// Image is where copies go in the memory of a program that we did not make; nil: to the process of a pid. It stays its
	// owner's.
	Image *Image

	// AppAlloc leaves it to the handler where in its arena each event lands. Such an arena does not grow.
	AppAlloc bool

	// Filter is to be installed before the hello; nil: none.
	Filter *Filter

	// Zygote has the handler fork for each event.
	Zygote bool
}

// size is ArenaSize in whole pages.
func (o Options) size() int { return align(min(max(o.ArenaSize, minArena), maxArena), pageSize) }

// max is ArenaMax in whole pages.
func (o Options) max() int { return min(max(o.ArenaMax, 0), maxArena) &^ (pageSize - 1) }

// Environment is what a handler finds in its environment: that we speak this ABI, and what arena to make.
func (o Options) Environment() []string {
	env := []string{
		"AEM_ABI=" + strconv.Itoa(version),
		"AEM_ARENA_SIZE=" + strconv.Itoa(o.size()),
		"AEM_ARENA_MAX=" + strconv.Itoa(max(o.size(), o.max())),
	}
	if o.Shared {
		env = append(env, "AEM_COPY=shared")
	}
	if o.AppAlloc {
		env = append(env, "AEM_ALLOC=app")
	}
	if o.Zygote {
		env = append(env, "AEM_LIFE=zygote")
	}
	return append(env, o.Filter.environment()...)
}

// Mailbox is the supervisor's end of one agent process. It has one owner, who makes it before the process, lets it
// follow the hello with Receive, and closes it after the process is gone; only Reservation.Copy may run elsewhere.
type Mailbox struct {
	page      *page
	channel   int   // our end
	doorbell  int   // an eventfd that nobody else holds
	answersFD int   // an eventfd that the handler writes
	handler   []int // what the handler inherits; -1 once closed
	phase     phase
	hello     Hello
	base      uint64 // what is added to a place to write there: of the arena, but 0 where places are addresses or it is shared
	origin    uint64 // the place that the arena begins at
	wanted    uint64 // the least size of the arena that the next hello is to name
	max       uint64 // what the arena may grow to, whole pages
	shared    *sharedArena
	image     *Image
	request   *request // nil unless the handler allocates
	filtered  bool     // the handler was given a second filter
	nonce     [nonceSize]byte

	ring      ring
	said      [Slots]said // of events in flight, until they are answered
	published uint64      // number of the next event to be published
	consumed  uint32      // answers taken
	inFlight  int         // published and not answered; of a zygote, not born
	zygote    *zygote     // nil unless the handler is one

	reservation Reservation
	stats       Stats // but for what the ring knows
	message     [maxMessage + 1]byte
}

// NewMailbox makes the page, the channel and the two eventfds of an agent process that is about to be made. It takes
// the options that its environment is made from.
func NewMailbox(o Options) (m *Mailbox, err error) {
	m = &Mailbox{channel: -1, doorbell: -1, answersFD: -1, handler: []int{-1, -1, -1, -1}, image: o.Image}
	m.reservation.mailbox = m
	if o.AppAlloc {
		m.request = new(request)
	} else {
		m.max = uint64(o.max())
	}
	if err = m.open(); err == nil && o.Shared {
		err = m.share(o.size())
	}
	if err == nil && o.Filter != nil {
		err = m.addFilter(o.Filter)
	}
	if err == nil && o.Zygote {
		m.zygote = newZygote()
		err = sys.PassCredentials(m.channel)
	}
	if err != nil {
		m.Close()
		return nil, fmt.Errorf("make mailbox: %w", err)
	}
	return m, nil
}

func (m *Mailbox) open() (err error) {
	ends, err := sys.SeqpacketPair()
	if err != nil {
		return err
	}
	m.channel, m.handler[0] = ends[0], ends[1]
	if m.page, m.handler[1], err = newPage(); err != nil {
		return err
	}
	if m.doorbell, err = sys.Eventfd(); err != nil {
		return err
	}
	if m.answersFD, err = sys.Eventfd(); err != nil {
		return err
	}
	if m.handler[3], err = sys.Dup(m.answersFD, 0); err != nil {
		return err
	}
	m.handler[2], err = newWaiter(m.doorbell, ends[1])
	return err
}

// share makes the arena one that both sides map.
func (m *Mailbox) share(size int) error {
	bytes, file, err := newSharedArena(size)
	if err != nil {
		return err
	}
	m.shared, m.wanted = &sharedArena{bytes: bytes}, uint64(size)
	m.handler = append(m.handler, file)
	return nil
}

// What the waiter reports.
const (
	waitDoorbell = 1
	waitChannel  = 2
)

// newWaiter makes the epoll instance that the handler sleeps in. The handler gets this and not the doorbell itself:
// O_NONBLOCK of an eventfd belongs to all who share it, so that a handler could fill the counter, clear the flag and
// have us wait in write for ever. So nobody reads the doorbell either; it is edge-triggered.
func newWaiter(doorbell, channel int) (int, error) {
	fd, err := sys.EpollCreate()
	if err != nil {
		return -1, err
	}
	if err = sys.EpollAdd(fd, doorbell, sys.EPOLLIN|sys.EPOLLET, waitDoorbell); err == nil {
		err = sys.EpollAdd(fd, channel, sys.EPOLLIN, waitChannel)
	}
	if err != nil {
		sys.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Handler is the descriptors that the handler inherits, as FirstDescriptor and the numbers that follow; -1 for none.
func (m *Mailbox) Handler() []int { return m.handler }

// CloseHandler closes our copies of the handler's descriptors, once the process is made: only then does the channel
// end when the process does.
func (m *Mailbox) CloseHandler() {
	for i, fd := range m.handler {
		if fd >= 0 {
			sys.Close(fd)
		}
		m.handler[i] = -1
	}
}

// GiveHandler is Handler for who sends the descriptors away, and closes them.
func (m *Mailbox) GiveHandler() []int {
	given := slices.Clone(m.handler)
	for i := range m.handler {
		m.handler[i] = -1
	}
	return given
}

// Channel polls readable when Receive has something to do.
func (m *Mailbox) Channel() int { return m.channel }

// AnswersFD tells of answers. It is to be polled with EPOLLET and never read, because the handler may make a read of it
// block; and to be removed from its poller before Close, because the handler may keep it open.
func (m *Mailbox) AnswersFD() int { return m.answersFD }

// Close ends the mailbox. A copy that is still running elsewhere keeps what it needs.
func (m *Mailbox) Close() error {
	m.CloseHandler()
	for _, fd := range []*int{&m.channel, &m.doorbell, &m.answersFD} {
		if *fd >= 0 {
			sys.Close(*fd)
		}
		*fd = -1
	}
	if m.shared != nil {
		m.shared.replace(nil)
	}
	if m.page == nil {
		return nil
	}
	err := m.page.unmap()
	m.page = nil
	return err
}

// Stop asks the handler to end after the events that it has.
func (m *Mailbox) Stop() error { return m.send(kindStop, 0, -1) }

// send sends a message without a body, with a descriptor if fd is one.
func (m *Mailbox) send(k kind, number uint32, fd int) error {
	var buf [messageHeaderSize]byte
	return m.post(appendMessage(buf[:0], k, number, nil), fd)
}

// post never waits: a handler that reads nothing has a full channel, and that is an error.
func (m *Mailbox) post(b []byte, fd int) (err error) {
	if fd >= 0 {
		err = sys.SendDescriptor(m.channel, b, fd, false)
	} else {
		err = sys.SendMessage(m.channel, b, false)
	}
	if err != nil {
		return fmt.Errorf("send to handler: %w", err)
	}
	return nil
}
