package directcopy

import (
	"encoding/binary"
	"fmt"
)

// kind is what a message on the channel says.
type kind uint16

const (
	kindHello      kind = iota + 1 // handler: here I am, this is my arena
	kindNonce                      // supervisor: look into your arena; handler: this I found there
	kindDescriptor                 // supervisor: the descriptor of event number
	kindError                      // handler: why event number did not end well
	kindStop                       // supervisor: end when you have done what you have
	kindReply                      // handler: the next piece of the reply to event number
	kindGrow                       // supervisor: give up your arena for one of number bytes
	kindBorn                       // child of a zygote: I am the process of event number
	kindAnswer                     // child: the fate of event number
	kindEnded                      // supervisor: the child of event number has ended, wait for it; zygote: this was its status
	kindUnborn                     // zygote: there is no process for event number
	kindAlloc                      // supervisor: events from number on need so much room
	kindPlace                      // handler: they are to land there
)

const (
	messageHeaderSize = 16
	helloSize         = 32
	nonceSize         = 16
	answerSize        = 40
	endedSize         = 8
	unbornSize        = 8
	// maxBody bounds the body of a message.
	maxBody = 4096
	// maxMessage is the longest message. Buffers are one byte longer, to see when one is too long.
	maxMessage = messageHeaderSize + maxBody

	// MaxText is the longest text of an error.
	MaxText = maxBody
	// MaxReply is the longest reply to one event. It comes in pieces of maxBody bytes; only the last may be shorter.
	MaxReply = 1 << 20
)

// message is one message of the channel. Its body is valid until the next one is read.
type message struct {
	kind   kind
	number uint32
	body   []byte
	from   int // who sent it, where the kernel is asked to say so; 0: not in sight
}

var kindNames = [...]string{
	kindHello: "hello", kindNonce: "nonce", kindDescriptor: "descriptor", kindError: "error", kindStop: "stop", kindReply: "reply",
	kindGrow: "grow", kindBorn: "born", kindAnswer: "answer", kindEnded: "ended", kindUnborn: "unborn",
	kindAlloc: "alloc", kindPlace: "place",
}

func (k kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("message kind %d", uint16(k))
}

// appendMessage appends a message.
func appendMessage(dst []byte, k kind, number uint32, body []byte) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, magic)
	dst = le.AppendUint16(dst, version)
	dst = le.AppendUint16(dst, uint16(k))
	dst = le.AppendUint32(dst, uint32(len(body)))
	dst = le.AppendUint32(dst, number)
	return append(dst, body...)
}

// parseMessage reads a message. It judges the form; whether it is the time for such a message its reader knows.
func parseMessage(b []byte) (m message, err error) {
	if len(b) < messageHeaderSize {
		return m, fmt.Errorf("read message: %d bytes are no header", len(b))
	}
	le := binary.LittleEndian
	body := b[messageHeaderSize:]
	switch {
	case le.Uint32(b) != magic:
		return m, fmt.Errorf("read message: magic %#x", le.Uint32(b))
	case le.Uint16(b[4:]) != version:
		return m, fmt.Errorf("read message: ABI version %d, want %d", le.Uint16(b[4:]), version)
	case len(b) > maxMessage:
		return m, fmt.Errorf("read message: longer than %d bytes", maxMessage)
	case le.Uint32(b[8:]) != uint32(len(body)):
		return m, fmt.Errorf("read message: size %d with %d bytes", le.Uint32(b[8:]), len(body))
	}
	return message{kind: kind(le.Uint16(b[6:])), number: le.Uint32(b[12:]), body: body}, nil
}

// Hello is what a handler says of itself.
type Hello struct {
	ArenaAddr, ArenaSize uint64
	PID, TID             uint32 // in its own pid namespace; the thread that runs events
	InFlight             uint32 // how many events it takes at once
	Flags                uint32 // what it does of that which it was asked for
}

// Flags of a hello.
const (
	flagZygote   = 1 << 0 // the handler forks for each event
	flagAppAlloc = 1 << 1 // the handler says where each event lands
	flagFiltered = 1 << 2 // it has installed the second filter on all of its threads
	flagDestruct = 1 << 3 // its program has a destructor: it takes events that another process was interrupted in
)

// Destructs reports whether the program has a destructor.
func (h Hello) Destructs() bool { return h.Flags&flagDestruct != 0 }

func (h Hello) append(dst []byte) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint64(dst, h.ArenaAddr)
	dst = le.AppendUint64(dst, h.ArenaSize)
	dst = le.AppendUint32(dst, h.PID)
	dst = le.AppendUint32(dst, h.TID)
	dst = le.AppendUint32(dst, h.InFlight)
	return le.AppendUint32(dst, h.Flags)
}

// minArena and maxArena bound an arena: an entry has 32 bits for the size of a block. maxAddress is beyond every user
// address (Documentation/arch/x86/x86_64/mm.rst).
const (
	minArena   = 4096
	maxArena   = 1 << 31
	maxAddress = 1 << 56
)

// parseHello reads and judges the body of a HELLO.
func parseHello(b []byte) (h Hello, err error) {
	if len(b) != helloSize {
		return h, fmt.Errorf("read hello: %d bytes, want %d", len(b), helloSize)
	}
	le := binary.LittleEndian
	h = Hello{le.Uint64(b), le.Uint64(b[8:]), le.Uint32(b[16:]), le.Uint32(b[20:]), le.Uint32(b[24:]), le.Uint32(b[28:])}
	switch {
	case h.ArenaSize < minArena || h.ArenaSize > maxArena || h.ArenaAddr > maxAddress || h.ArenaAddr%blockAlign != 0:
		return h, fmt.Errorf("read hello: no arena can be %#x bytes at %#x", h.ArenaSize, h.ArenaAddr)
	case h.InFlight < 1 || h.InFlight > Slots:
		return h, fmt.Errorf("read hello: %d events in flight, want 1 to %d", h.InFlight, Slots)
	}
	return h, nil
}
