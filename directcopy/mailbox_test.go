package directcopy

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// TestBatch publishes a batch and answers it out of order: the blocks lie one after the other, and their room comes
// back when the oldest is answered.
func TestBatch(t *testing.T) { eachCopy(t, testBatch) }

func testBatch(t *testing.T, o Options) {
	o.ArenaSize = 1 << 16
	m, b := pairOf(t, o, Slots)
	var blocks []Block
	for i := range 40 {
		blocks = append(blocks, Block{ID: uint64(i), Facts: []Fact{{"topic", "t"}}, Data: bytes.Repeat([]byte{byte(i)}, 1000*(i%3))})
	}
	if n := put(t, m, -1, blocks...); n != 40 {
		t.Fatalf("%d of 40 blocks had room", n)
	}
	if m.Taken() != 0 {
		t.Errorf("taken %d before any was", m.Taken())
	}
	var events []Event
	for i := range 40 {
		e := take(t, b)
		if e.Number != uint64(i) || e.ID != uint64(i) || !bytes.Equal(e.Data, blocks[i].Data) || e.FD != -1 {
			t.Fatalf("event %d is %+v", i, e)
		}
		if address(e.Data)%blockAlign != 0 && len(e.Data) > 0 {
			t.Errorf("data of event %d at %#x", i, address(e.Data))
		}
		events = append(events, e)
	}
	if m.Taken() != 40 || m.InFlight() != 40 {
		t.Errorf("taken %d, in flight %d, want 40", m.Taken(), m.InFlight())
	}
	for i := len(events) - 1; i >= 0; i-- {
		check(t, b.Answer(Answer{Number: events[i].Number, Outcome: Retry, Text: strings.Repeat("e", i)}))
		got, err := m.Answers(nil)
		if err != nil || len(got) != 1 || got[0].Number != uint64(i) || len(got[0].Text) != i {
			t.Fatalf("answers %v, %v to event %d", got, err, i)
		}
	}
	if m.ring.first != m.ring.next || m.InFlight() != 0 {
		t.Errorf("ring %d..%d, in flight %d when all is answered", m.ring.first, m.ring.next, m.InFlight())
	}
}

func TestNoRoom(t *testing.T) {
	m, b := pair(t, 1<<16, 3)
	whole := Block{Data: make([]byte, 1<<16-128)} // header and data fill the arena
	if _, err := m.Reserve([]Block{{Data: make([]byte, 1<<16-127)}}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("reserve more than the arena = %v", err)
	}
	if n := put(t, m, -1, whole, whole); n != 1 {
		t.Errorf("%d blocks of the arena's size had room", n)
	}
	if _, err := m.Reserve([]Block{{}}); !errors.Is(err, ErrFull) {
		t.Errorf("reserve in a full arena = %v", err)
	}
	check(t, b.Answer(Answer{Number: take(t, b).Number, Outcome: Done}))
	if _, err := m.Answers(nil); err != nil {
		t.Fatal(err)
	}
	if n := put(t, m, -1, Block{}, Block{}, Block{}, Block{}); n != 3 {
		t.Errorf("%d in flight, the hello said 3", n)
	}
	if _, err := m.Reserve([]Block{{}}); !errors.Is(err, ErrFull) {
		t.Errorf("reserve beyond what is in flight = %v", err)
	}
}

// TestReservation has one at a time, and gives it up without a trace.
func TestReservation(t *testing.T) {
	m, b := pair(t, 1<<20, Slots)
	large := Block{Data: bytes.Repeat([]byte{1}, 600<<10)}
	r, err := m.Reserve([]Block{{}, large})
	check(t, err)
	if _, err := m.Reserve([]Block{{}}); !errors.Is(err, ErrFull) {
		t.Errorf("a second reservation: %v", err)
	}
	if err := r.Publish(-1); err == nil {
		t.Error("published before the copy")
	}
	r.Cancel()
	fd, err := sys.Eventfd()
	check(t, err)
	defer sys.Close(fd)
	if r, err = m.Reserve([]Block{large, {}}); err != nil || r.First() != 0 || r.Len() != 2 {
		t.Fatalf("reserve after cancel: %v, %+v", err, r)
	}
	check(t, r.Copy(self))
	if err := r.Publish(fd); err == nil {
		t.Error("published two events with one descriptor")
	}
	check(t, r.Publish(-1))
	if e := take(t, b); !bytes.Equal(e.Data, large.Data) {
		t.Error("other data arrived")
	}
	if e := take(t, b); e.Number != 1 || len(e.Data) != 0 {
		t.Errorf("event %+v", e)
	}
}

// TestDescriptor passes the same pipe twice; both ends see that nobody else holds it.
func TestDescriptor(t *testing.T) {
	m, b := pair(t, 1<<16, 1)
	for range 2 {
		var pipe [2]int
		check(t, syscall.Pipe2(pipe[:], syscall.O_CLOEXEC))
		put(t, m, pipe[1], Block{})
		sys.Close(pipe[1])
		e := take(t, b)
		if _, err := syscall.Write(e.FD, []byte("x")); err != nil {
			t.Fatal(err)
		}
		sys.Close(e.FD)
		got := make([]byte, 8)
		if n, err := syscall.Read(pipe[0], got); n != 1 || err != nil {
			t.Errorf("read %d, %v", n, err)
		}
		if n, err := syscall.Read(pipe[0], got); n != 0 || err != nil {
			t.Errorf("read %d, %v, want the end", n, err)
		}
		sys.Close(pipe[0])
		check(t, b.Answer(Answer{Number: e.Number, Outcome: Done}))
		_, err := m.Answers(nil)
		check(t, err)
	}
}

// TestDoorbell rings once for each time that the other side went to sleep.
func TestDoorbell(t *testing.T) {
	m, b := pair(t, 1<<16, Slots)
	rung := func() uint64 {
		var count [8]byte
		syscall.Read(m.doorbell, count[:]) // EAGAIN: not rung
		return uint64(count[0])
	}
	for _, step := range []struct {
		sleeps uint32
		events int
		want   uint64
	}{{0, 3, 0}, {1, 1, 1}, {1, 4, 1}, {0, 1, 0}} {
		m.page.handlerSleeps.Store(step.sleeps)
		for range step.events {
			put(t, m, -1, Block{})
		}
		if got := rung(); got != step.want {
			t.Errorf("%d events, sleeping %d: rung %d times, want %d", step.events, step.sleeps, got, step.want)
		}
	}
	m.page.supervisorSleeps.Store(1)
	for range 9 {
		check(t, b.Answer(Answer{Number: take(t, b).Number, Outcome: Done}))
	}
	var count [8]byte
	syscall.Read(m.AnswersFD(), count[:])
	if got, err := m.Answers(nil); len(got) != 9 || err != nil || count[0] != 1 || m.page.supervisorSleeps.Load() != 1 {
		t.Errorf("%d answers, %v, rung %d times, sleeping %d", len(got), err, count[0], m.page.supervisorSleeps.Load())
	}
}

// TestTakeSleeps wakes the handler by doorbell, by message and by Stop.
func TestTakeSleeps(t *testing.T) {
	m, b := pair(t, 1<<16, 1)
	type result struct {
		e   Event
		err error
	}
	taken := make(chan result)
	go func() {
		for {
			e, err := b.Take()
			taken <- result{e, err}
			if err != nil {
				return
			}
			b.Answer(Answer{Number: e.Number, Outcome: Done})
		}
	}()
	for i := range uint64(100) {
		fd := -1
		if i%3 == 0 {
			fd = m.doorbell // any descriptor
		}
		for m.page.handlerSleeps.Load() == 0 && i%2 == 0 { // half of them while it sleeps for sure
		}
		put(t, m, fd, Block{})
		r := <-taken
		if r.err != nil || r.e.Number != i || (r.e.FD >= 0) != (fd >= 0) {
			t.Fatalf("took %+v, %v, want event %d", r.e, r.err, i)
		}
		if r.e.FD >= 0 {
			sys.Close(r.e.FD)
		}
		for m.InFlight() > 0 {
			_, err := m.Answers(nil)
			check(t, err)
		}
	}
	b.Stop()
	if r := <-taken; !errors.Is(r.err, io.EOF) {
		t.Errorf("take after stop: %+v", r)
	}
}

// TestStopWithEvent wakes the handler by a STOP that finds an event published before it: the event is taken first.
func TestStopWithEvent(t *testing.T) {
	m, b := pair(t, 1<<16, 1)
	type result struct {
		e   Event
		err error
	}
	taken := make(chan result)
	go func() {
		for range 2 {
			e, err := b.Take()
			taken <- result{e, err}
		}
	}()
	for !m.page.handlerSleeps.CompareAndSwap(1, 0) { // from here on the doorbell is silent
	}
	put(t, m, -1, Block{ID: 7})
	check(t, m.Stop())
	if r := <-taken; r.err != nil || r.e.ID != 7 {
		t.Errorf("took %+v, %v, want the event", r.e, r.err)
	}
	if r := <-taken; !errors.Is(r.err, io.EOF) {
		t.Errorf("then took %+v, %v, want the end", r.e, r.err)
	}
}

// TestPageSealed makes sure that the handler cannot cut the page off; a hole in it reads as zeros.
func TestPageSealed(t *testing.T) {
	m, err := NewMailbox(Options{})
	check(t, err)
	defer m.Close()
	page := m.Handler()[1]
	for _, size := range []int64{0, 100, 2 * pageSize} {
		if err := sys.Ftruncate(page, size); !errors.Is(err, syscall.EPERM) {
			t.Errorf("truncate to %d: %v, want EPERM", size, err)
		}
	}
	const punch = 0x1 | 0x2 // FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, linux/falloc.h
	check(t, syscall.Fallocate(page, punch, 0, pageSize))
	if m.page.magic != 0 || m.page.answers[Slots-1].number.Load() != 0 {
		t.Error("the hole does not show")
	}
	if err := sys.AddSeals(page, sys.F_SEAL_WRITE); !errors.Is(err, syscall.EPERM) {
		t.Errorf("seal against writing: %v, want EPERM", err)
	}
}

// TestPutAllocatesNothing holds in steady state.
func TestPutAllocatesNothing(t *testing.T) {
	m, b := pair(t, 1<<20, Slots)
	blocks := make([]Block, 8)
	facts := []Fact{{"app", "shop"}, {"topic", "orders"}}
	for i := range blocks {
		blocks[i] = Block{Facts: facts, Data: make([]byte, 1024)}
	}
	answers := make([]Answer, 0, Slots)
	if n := testing.AllocsPerRun(100, func() {
		put(t, m, -1, blocks...)
		for range blocks {
			check(t, b.Answer(Answer{Number: take(t, b).Number, Outcome: Done}))
		}
		_, err := m.Answers(answers[:0])
		check(t, err)
	}); n != 0 {
		t.Errorf("%v allocations for %d events", n, len(blocks))
	}
}

// TestHugeArena is aligned for huge pages.
func TestHugeArena(t *testing.T) {
	arena, mapping, err := newArena(5 << 20)
	check(t, err)
	if address(arena)%hugePage != 0 || len(arena) != 5<<20 || unsafe.SliceData(arena[len(arena)-1:]) == nil {
		t.Errorf("%d bytes at %#x", len(arena), address(arena))
	}
	check(t, sys.Munmap(mapping))
}
