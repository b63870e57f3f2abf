package directcopy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// pages is an application's own scheme: the data of each event begins at a page. Blocks lie where the first gap is.
type pages struct {
	arena *[]byte
	spans []span // in order
}

func (p *pages) memory() *Memory {
	m := &Memory{Alloc: p.alloc, Free: p.free}
	p.arena = &m.Arena
	return m
}

func (p *pages) alloc(size, dataAt int) (offset int, ok bool) {
	end, i := uint64(0), 0
	for ; ; i++ {
		at := uint64(align(int(end)+dataAt, pageSize) - dataAt)
		limit := uint64(len(*p.arena))
		if i < len(p.spans) {
			limit = p.spans[i].offset
		}
		if at+uint64(size) <= limit {
			p.spans = slices.Insert(p.spans, i, span{offset: at, size: uint64(size)})
			return int(at), true
		}
		if i == len(p.spans) {
			return 0, false
		}
		end = p.spans[i].end()
	}
}

func (p *pages) free(offset, size int) {
	i := slices.Index(p.spans, span{offset: uint64(offset), size: uint64(size)})
	p.spans = slices.Delete(p.spans, i, i+1) // panics at a block that was not given out
}

// ask has the handler say where blocks are to land, and returns how many it was asked about.
func ask(t testing.TB, m *Mailbox, b *Inbox, blocks ...Block) int {
	t.Helper()
	_, n, err := m.Ask(blocks)
	check(t, err)
	check(t, b.sleep())
	receive(t, m, Placed)
	return n
}

// TestAppAlloc has events land where the handler says, and it gets their memory back in any order.
func TestAppAlloc_R089(t *testing.T) { eachCopy(t, testAppAlloc) }

func testAppAlloc(t *testing.T, o Options) {
	o.ArenaSize, o.AppAlloc = 4<<20, true
	m, b := pairOf(t, o, 40)
	for round, sizes := range [][]int{{0}, {5, 4096, 0, 70_000, 1}, make([]int, Slots), {3 << 20}, {1 << 20, 2 << 20}} {
		var blocks []Block
		for i, size := range sizes {
			data := bytes.Repeat([]byte{byte(round), byte(i), 7}, size/3+1)[:size]
			blocks = append(blocks, Block{ID: uint64(i), Facts: []Fact{{"app", "shop"}}, Data: data})
		}
		n := ask(t, m, b, blocks...)
		if n != min(len(blocks), 40) || put(t, m, -1, blocks[:n]...) != n {
			t.Fatalf("round %d: asked about %d of %d", round, n, len(blocks))
		}
		var events []Event
		for i := range n {
			e := take(t, b)
			if e.ID != uint64(i) || !bytes.Equal(e.Data, blocks[i].Data) || address(e.Data)%pageSize != 0 && len(e.Data) > 0 {
				t.Errorf("round %d: event %d has %d bytes at %#x", round, i, len(e.Data), address(e.Data))
			}
			events = append(events, e)
		}
		for _, i := range rand.Perm(n) {
			check(t, b.Answer(Answer{Number: events[i].Number, Outcome: Done}))
		}
		if got, err := m.Answers(nil); len(got) != n || err != nil {
			t.Fatalf("round %d: answers %v, %v", round, got, err)
		}
	}
}

// TestAllocatorIsFull has an allocator without room for all of what is asked, and then for none.
func TestAllocatorIsFull(t *testing.T) {
	m, b := pairOf(t, Options{ArenaSize: 1 << 20, AppAlloc: true}, Slots)
	scheme := b.landing.memory.Alloc
	room := 2
	b.landing.memory.Alloc = func(size, dataAt int) (int, bool) {
		if room--; room < 0 {
			return 0, false
		}
		return scheme(size, dataAt)
	}
	blocks := make([]Block, 4)
	ask(t, m, b, blocks...)
	if n := put(t, m, -1, blocks...); n != 2 || room != -1 {
		t.Errorf("%d blocks had room, want 2; %d times asked after that", n, -1-room)
	}
	if _, _, err := m.Ask(blocks); !errors.Is(err, ErrFull) {
		t.Errorf("ask with events in flight = %v", err)
	}
	for range 2 {
		check(t, b.Answer(Answer{Number: take(t, b).Number, Outcome: Done}))
	}
	_, err := m.Answers(nil)
	check(t, err)
	for range 2 {
		ask(t, m, b, blocks...)
		if _, _, err := m.Ask(blocks); !errors.Is(err, ErrFull) {
			t.Errorf("ask before places were used = %v", err)
		}
		if r, err := m.Reserve(blocks); !errors.Is(err, ErrNoPlace) {
			t.Errorf("reserve = %v, %v, want no place", r, err)
		}
	}
	if _, err := m.Reserve(blocks); err == nil || errors.Is(err, ErrNoPlace) {
		t.Errorf("reserve what was not asked about = %v", err)
	}
	if _, _, err := m.Ask([]Block{{Data: make([]byte, 1<<20)}}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("ask about more than the arena = %v", err)
	}
	if err := m.Grow(2 << 20); !errors.Is(err, ErrTooLarge) {
		t.Errorf("grow = %v", err)
	}
	room = 1
	ask(t, m, b, blocks...)
	if n := put(t, m, -1, blocks...); n != 1 {
		t.Errorf("%d blocks had room when there was some", n)
	}
}

// TestMemoryOfItsOwn has events land in an arena that the application made itself, and keeps.
func TestMemoryOfItsOwn(t *testing.T) {
	own, mapping, err := newArena(1 << 16)
	check(t, err)
	defer sys.Munmap(mapping)
	m, b := unproved(t, Options{ArenaSize: 1 << 20, AppAlloc: true})
	b.dropArena()
	check(t, b.open(1<<20, &Memory{Arena: own, Alloc: func(int, int) (int, bool) { return 1 << 12, true }}))
	said := make(chan error, 1)
	go func() { said <- b.Hello(1) }()
	prove(t, m)
	check(t, <-said)
	block := Block{Data: []byte("kept")}
	ask(t, m, b, block)
	put(t, m, -1, block)
	check(t, b.Answer(Answer{Number: take(t, b).Number, Outcome: Done}))
	if !bytes.Contains(own[1<<12:][:256], block.Data) {
		t.Error("the data is not there after the answer")
	}
}

// TestAllocatorsMistakes are seen by the handler itself.
func TestAllocatorsMistakes(t *testing.T) {
	for _, offset := range []int{-64, 1, 1 << 16, 1<<16 - 64} {
		m, b := pairOf(t, Options{ArenaSize: 1 << 16, AppAlloc: true}, 1)
		b.landing.memory.Alloc = func(int, int) (int, bool) { return offset, true }
		_, _, err := m.Ask([]Block{{}})
		check(t, err)
		if err := b.sleep(); err == nil || !strings.Contains(err.Error(), "the allocator gave 128 bytes at offset") {
			t.Errorf("offset %d: %v", offset, err)
		}
	}
}

// TestLiarsPlaces has handlers that were asked for the places of two events of 128 bytes, in an arena of 64 KiB.
func TestLiarsPlaces(t *testing.T) {
	places := func(b *Inbox, number uint32, offsets ...int) {
		var body []byte
		for _, offset := range offsets {
			at := uint64(0)
			if offset != 1<<20 { // none
				at = b.address() + uint64(offset)
			}
			body = binary.LittleEndian.AppendUint64(body, at)
		}
		b.send(kindPlace, number, body)
	}
	for _, test := range []struct {
		name string
		lie  func(b *Inbox)
		want string
	}{
		{"before the arena", func(b *Inbox) { places(b, 0, -64, 0) }, "event 0 cannot have 128 bytes at"},
		{"behind it", func(b *Inbox) { places(b, 0, 0, 1<<16) }, "event 1 cannot have"},
		{"over its end", func(b *Inbox) { places(b, 0, 1<<16-64, 0) }, "event 0 cannot have"},
		{"far", func(b *Inbox) { places(b, 0, 1<<62, 0) }, "event 0 cannot have"},
		{"not aligned", func(b *Inbox) { places(b, 0, 0, 136) }, "event 1 cannot have"},
		{"twice", func(b *Inbox) { places(b, 0, 128, 128) }, "overlaps event 0"},
		{"over each other", func(b *Inbox) { places(b, 0, 128, 64) }, "overlaps event 0"},
		{"one after none", func(b *Inbox) { places(b, 0, 1<<20, 128) }, "event 1 has one, and the event before has none"},
		{"one", func(b *Inbox) { places(b, 0, 0) }, "8 bytes from event 0 on, want places for 2 events from 0 on"},
		{"three", func(b *Inbox) { places(b, 0, 0, 128, 256) }, "24 bytes from event 0 on"},
		{"no whole ones", func(b *Inbox) { b.send(kindPlace, 0, make([]byte, 15)) }, "15 bytes"},
		{"of another", func(b *Inbox) { places(b, 1, 0, 128) }, "16 bytes from event 1 on, want places for 2 events from 0 on"},
		{"again", func(b *Inbox) { places(b, 0, 0, 128); places(b, 0, 0, 128) }, "place is not for now"},
		{"nonce", func(b *Inbox) { b.send(kindNonce, 0, make([]byte, nonceSize)) }, "nonce is not for now"},
	} {
		m, b := pairOf(t, Options{ArenaSize: 1 << 16, AppAlloc: true}, 2)
		_, _, err := m.Ask(make([]Block, 2))
		check(t, err)
		test.lie(b)
		if err := hear(t, m); !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: receive = %v, want %q", test.name, err, test.want)
		}
	}
	m, b := pairOf(t, Options{ArenaSize: 1 << 16}, 2)
	places(b, 0, 0, 128)
	if err := hear(t, m); !strings.Contains(err.Error(), "place is not for now") {
		t.Errorf("a place that nobody asked for: %v", err)
	}
}

// TestLiarsFlags has handlers that are others than they were asked to be.
func TestLiarsFlags(t *testing.T) {
	for _, test := range []struct {
		app   bool
		flags uint32
		want  string
	}{
		{true, 0, "brings no allocator"},
		{false, flagAppAlloc, "flags 0x2, asked for were 0x0"},
		{true, flagAppAlloc | 1<<31, "flags 0x80000002, asked for were 0x2"},
		{true, flagAppAlloc | flagDestruct | 1<<30, "flags 0x4000000a, asked for were 0x2"},
	} {
		m, b := unproved(t, Options{ArenaSize: 1 << 16, AppAlloc: test.app})
		check(t, b.send(kindHello, 0, Hello{ArenaAddr: b.address(), ArenaSize: 1 << 16, InFlight: 1, Flags: test.flags}.append(nil)))
		if err := hear(t, m); !strings.Contains(err.Error(), test.want) {
			t.Errorf("flags %#x: receive = %v, want %q", test.flags, err, test.want)
		}
	}
}

// FuzzPlaces reads arbitrary places for blocks of arbitrary sizes: what is believed lies in the arena, each block apart.
func FuzzPlaces(f *testing.F) {
	f.Add([]byte{2, 3}, binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, 1<<20), 1<<20+128))
	f.Fuzz(func(t *testing.T, sizes, raw []byte) {
		const start, size = 1 << 20, 1 << 12
		m := Mailbox{phase: phaseProved, origin: start, request: new(request)}
		m.ring.size = size
		q := m.request
		for _, n := range sizes[:min(len(sizes), Slots)] {
			q.sizes[q.count] = 64 * (uint64(n) + 1)
			q.count++
		}
		if err := m.told(message{kind: kindPlace, body: raw}); err != nil {
			if q.told {
				t.Fatalf("believed in spite of %v", err)
			}
			return
		}
		var taken []span
		for i := range q.count {
			s := span{offset: q.places[i], size: q.sizes[i]}
			if s.offset == 0 {
				continue
			}
			if s.offset < start || s.end() > start+size || len(taken) < i {
				t.Fatalf("place %d at %#x, %d bytes", i, s.offset, s.size)
			}
			for _, other := range taken {
				if s.offset < other.end() && other.offset < s.end() {
					t.Fatalf("place %d at %#x overlaps another at %#x", i, s.offset, other.offset)
				}
			}
			taken = append(taken, s)
		}
	})
}
