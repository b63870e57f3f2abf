package directcopy

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"unsafe"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// Slots is how many entries and answers the control page holds, and so the most events in flight.
const Slots = 64

const (
	magic    = 'A' | 'E'<<8 | 'M'<<16 | '1'<<24
	version  = 1
	pageSize = 4096
)

// page is the control page. Both sides map it, each word has one writer (the two flags have two), and the supervisor
// believes nothing that it reads here. What each side knows of its own counters lies in its own memory.
type page struct {
	magic                     uint32
	version, headerSize       uint16
	size                      uint32
	entryCount, entryOffset   uint32
	answerCount, answerOffset uint32
	_                         [36]byte
	head                      atomic.Uint32 // supervisor: events published
	_                         [60]byte
	taken, answered           atomic.Uint32 // handler: events taken, answers published
	_                         [56]byte
	handlerSleeps             atomic.Uint32 // 1: ring the doorbell
	_                         [60]byte
	supervisorSleeps          atomic.Uint32 // 1: ring the answers
	_                         [60]byte
	_                         [192]byte
	entries                   [Slots]entry
	answers                   [Slots]answer
}

// entry tells where an event's block lies.
type entry struct {
	offset atomic.Uint64 // in the arena; an address, where the handler allocates
	size   atomic.Uint32
	flags  atomic.Uint32
}

// flagDescriptor: a DESCRIPTOR message of the event's number comes over the channel.
const flagDescriptor = 1

// answer is the fate of one event. Each word is loaded once, whole.
type answer struct {
	number   atomic.Uint64 // of the event
	outcome  atomic.Uint64 // u32 outcome, u32 retry_ms
	text     atomic.Uint64 // u32 size of the text in the ERROR message, u32 flags (0)
	reply    atomic.Uint64 // size of the reply in REPLY messages
	reserved atomic.Uint64
}

// The page is exactly one page, and its words lie where docs/abi.md says.
var (
	_ [pageSize]byte = [unsafe.Sizeof(page{})]byte{}
	_ [64]byte       = [unsafe.Offsetof(page{}.head)]byte{}
	_ [128]byte      = [unsafe.Offsetof(page{}.taken)]byte{}
	_ [192]byte      = [unsafe.Offsetof(page{}.handlerSleeps)]byte{}
	_ [256]byte      = [unsafe.Offsetof(page{}.supervisorSleeps)]byte{}
	_ [512]byte      = [unsafe.Offsetof(page{}.entries)]byte{}
	_ [1536]byte     = [unsafe.Offsetof(page{}.answers)]byte{}
)

// newPage makes a control page.
func newPage() (p *page, fd int, err error) {
	fd, err = sealedFile("aem-page", pageSize)
	if err != nil {
		return nil, -1, err
	}
	if p, err = mapPage(fd); err != nil {
		sys.Close(fd)
		return nil, -1, err
	}
	p.magic, p.version, p.headerSize, p.size = magic, version, 64, pageSize
	p.entryCount, p.entryOffset = Slots, uint32(unsafe.Offsetof(p.entries))
	p.answerCount, p.answerOffset = Slots, uint32(unsafe.Offsetof(p.answers))
	p.supervisorSleeps.Store(1)
	return p, fd, nil
}

// sealedFile makes a file in memory that is sealed in size: who touched a page of it that the handler had cut off would
// die by SIGBUS.
func sealedFile(name string, size int) (fd int, err error) {
	if fd, err = sys.MemfdCreate(name); err != nil {
		return -1, err
	}
	if err = sys.Ftruncate(fd, int64(size)); err == nil {
		err = sys.AddSeals(fd, sys.F_SEAL_SHRINK|sys.F_SEAL_GROW|sys.F_SEAL_SEAL)
	}
	if err != nil {
		sys.Close(fd)
		return -1, err
	}
	return fd, nil
}

func mapPage(fd int) (*page, error) {
	b, err := sys.MmapShared(fd, pageSize)
	if err != nil {
		return nil, err
	}
	return (*page)(unsafe.Pointer(unsafe.SliceData(b))), nil
}

func (p *page) unmap() error {
	return sys.Munmap(unsafe.Slice((*byte)(unsafe.Pointer(p)), pageSize))
}

// wake wakes the other side if it says that it sleeps, once for each time it says so. The caller has stored what the
// other side is to see; the sleeper sets its flag and then looks again. Atomics are sequentially consistent, so one of
// the two sees the other.
func wake(sleeps *atomic.Uint32, eventfd int) error {
	if sleeps.Load() == 0 || sleeps.Swap(0) == 0 {
		return nil
	}
	if err := sys.EventfdAdd(eventfd); err != nil && !errors.Is(err, syscall.EAGAIN) { // EAGAIN: it is more than rung
		return fmt.Errorf("wake the other side: %w", err)
	}
	return nil
}
