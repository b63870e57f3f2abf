package supervisor

import (
	"encoding/binary"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// raw is a handler without an SDK, so that it can lie. Offsets and numbers are those of docs/abi.md.
type raw struct {
	page     []byte
	arena    []byte
	flags    uint32 // of its hello
	taken    uint32
	answered uint32
	up       *os.File // from the last child
}

// What a handler starts with, and what it says.
const (
	rawChannel, rawPage, rawAnswers                               = 3, 4, 6
	rawHello, rawNonce, rawError, rawReply, rawGrow, rawPlace     = 1, 2, 4, 6, 7, 13
	rawHead, rawTaken, rawAnswered, rawSleeps, rawSupervisor      = 64, 128, 132, 192, 256
	rawEntries, rawEntrySize, rawAnswerRing, rawAnswerSize, slots = 512, 16, 1536, 40, 64
)

// newRaw maps the page and makes an arena.
func newRaw(size int) *raw {
	page, err := syscall.Mmap(rawPage, 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	must(err)
	return &raw{page: page, arena: mapped(size, syscall.PROT_READ|syscall.PROT_WRITE)}
}

// mapped is memory with a protection.
func mapped(size, protection int) []byte {
	b, err := syscall.Mmap(-1, 0, size, protection, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	must(err)
	return b
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func at(b []byte) uint64 { return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }

// message is one of the channel.
func rawMessage(kind uint16, number uint32, body []byte) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 0x314d4541)
	b = le.AppendUint16(b, 1)
	b = le.AppendUint16(b, kind)
	b = le.AppendUint32(b, uint32(len(body)))
	b = le.AppendUint32(b, number)
	return append(b, body...)
}

func (r *raw) send(kind uint16, number uint32, body []byte) {
	syscall.Write(rawChannel, rawMessage(kind, number, body)) // a supervisor that ends us first is right to
}

// receive waits for a message of one kind.
func (r *raw) receive(want uint16) (number uint32) {
	for b := make([]byte, 8192); ; {
		n, err := syscall.Read(rawChannel, b)
		if n <= 0 {
			os.Exit(0)
		}
		must(err)
		if binary.LittleEndian.Uint16(b[6:]) == want {
			return binary.LittleEndian.Uint32(b[12:])
		}
	}
}

// greet says hello.
func (r *raw) greet(arena, size uint64, pid, inFlight uint32) {
	r.hello(arena, size, pid, uint32(syscall.Gettid()), inFlight)
}

func (r *raw) hello(arena, size uint64, pid, tid, inFlight uint32) {
	le := binary.LittleEndian
	b := le.AppendUint64(nil, arena)
	b = le.AppendUint64(b, size)
	for _, word := range []uint32{pid, tid, inFlight, r.flags} {
		b = le.AppendUint32(b, word)
	}
	r.send(rawHello, 0, b)
}

// greetAs is an honest hello, but for the thread that it names.
func (r *raw) greetAs(tid uint32) {
	r.hello(at(r.arena), uint64(len(r.arena)), uint32(os.Getpid()), tid, 1)
	r.receive(rawNonce)
	r.send(rawNonce, 0, r.arena[:16])
	time.Sleep(time.Hour)
}

// ready is an honest hello.
func (r *raw) ready(inFlight uint32) {
	r.greet(at(r.arena), uint64(len(r.arena)), uint32(os.Getpid()), inFlight)
	r.receive(rawNonce)
	r.send(rawNonce, 0, r.arena[:16])
}

func (r *raw) word(offset int) *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&r.page[offset]))
}

// take waits for the next event, and says so. It never sleeps: the doorbell is not for it.
func (r *raw) take() (number uint64, block []byte) {
	for r.word(rawHead).Load() == r.taken {
		time.Sleep(100 * time.Microsecond)
	}
	le, entry := binary.LittleEndian, r.page[rawEntries+int(r.taken)%slots*rawEntrySize:]
	block = r.arena[le.Uint64(entry):][:le.Uint32(entry[8:])]
	r.taken++
	r.word(rawTaken).Store(r.taken)
	return le.Uint64(block[16:]), block
}

// answer is one with these words, after which the supervisor is woken.
func (r *raw) answer(words ...uint64) {
	to := r.page[rawAnswerRing+int(r.answered)%slots*rawAnswerSize:]
	for i := range rawAnswerSize / 8 {
		word := uint64(0)
		if i < len(words) {
			word = words[i]
		}
		binary.LittleEndian.PutUint64(to[8*i:], word)
	}
	r.answered++
	r.tell(r.answered)
}

// tell says how many answers there are.
func (r *raw) tell(answered uint32) {
	r.word(rawAnswered).Store(answered)
	r.ring()
}

func (r *raw) ring() { syscall.Write(rawAnswers, binary.LittleEndian.AppendUint64(nil, 1)) }
