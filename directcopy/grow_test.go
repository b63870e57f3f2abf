package directcopy

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// serve answers events with the end of their data, until the end, which it tells.
func serve(b *Inbox) <-chan error {
	ended := make(chan error, 1)
	go func() {
		for {
			e, err := b.Take()
			if err != nil {
				ended <- err
				return
			}
			b.Answer(Answer{Number: e.Number, Outcome: Done, Reply: e.Data[max(0, len(e.Data)-100):]})
		}
	}()
	return ended
}

// answersOf waits until n answers came.
func answersOf(t *testing.T, m *Mailbox, n int) (got []Answer) {
	t.Helper()
	got, err := m.Answers(nil)
	for check(t, err); len(got) < n; check(t, err) {
		poll(t, m.AnswersFD())
		got, err = m.Answers(got)
	}
	return got
}

// TestGrow sends events that the arena does not hold yet, up to 256 MiB, and small ones between.
func TestGrow(t *testing.T) { eachCopy(t, testGrow) }

func testGrow(t *testing.T, o Options) {
	o.ArenaSize, o.ArenaMax = 1<<16, 256<<20+5000
	m, b := pairOf(t, o, Slots)
	ended := serve(b)
	data := pattern(256 << 20)
	for _, test := range []struct {
		size  int
		arena uint64
		grows bool
	}{
		{0, 1 << 16, false}, {1<<16 - 128, 1 << 16, false}, {1<<16 - 127, 1 << 17, true}, {1 << 16, 1 << 17, false},
		{3 << 20, 4 << 20, true}, {1, 4 << 20, false}, {256 << 20, 256<<20 + 4096, true}, {5, 256<<20 + 4096, false},
	} {
		block := []Block{{Data: data[:test.size]}}
		_, err := m.Reserve(block)
		if errors.Is(err, ErrGrow) != test.grows {
			t.Fatalf("%d bytes: reserve = %v, want growth %t", test.size, err, test.grows)
		}
		if test.grows {
			check(t, m.Grow(block[0].Size()))
			if _, err := m.Reserve(block); err == nil || !strings.Contains(err.Error(), "not ready") {
				t.Fatalf("reserve in an arena that grows = %v", err)
			}
			prove(t, m)
		} else {
			m.reservation.Cancel()
		}
		put(t, m, -1, block...)
		if got := answersOf(t, m, 1)[0].Reply; m.Hello().ArenaSize != test.arena || !bytes.HasSuffix(block[0].Data, got) || len(got) != min(100, test.size) {
			t.Errorf("%d bytes in an arena of %d, want %d; answered %q", test.size, m.Hello().ArenaSize, test.arena, got)
		}
	}
	if _, err := m.Reserve([]Block{{Data: data, Facts: make([]Fact, 1000)}}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("reserve more than the arena may become = %v", err)
	}
	check(t, m.Stop())
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Errorf("take after stop: %v", err)
	}
}

// TestGrowInFlight waits until everything is answered.
func TestGrowInFlight(t *testing.T) { eachCopy(t, testGrowInFlight) }

func testGrowInFlight(t *testing.T, o Options) {
	o.ArenaSize, o.ArenaMax = 1<<16, 1<<20
	m, b := pairOf(t, o, Slots)
	large := []Block{{Data: make([]byte, 1<<17)}}
	r, err := m.Reserve(make([]Block, 2))
	check(t, err)
	for _, step := range []func(){func() { check(t, r.Copy(self)); check(t, r.Publish(-1)) }, func() {
		check(t, b.Answer(Answer{Number: take(t, b).Number, Outcome: Done}))
		answersOf(t, m, 1)
	}, func() {
		check(t, b.Answer(Answer{Number: take(t, b).Number, Outcome: Done}))
		answersOf(t, m, 1)
	}} {
		if err := m.Grow(large[0].Size()); !errors.Is(err, ErrFull) {
			t.Errorf("grow with %d in flight = %v", m.InFlight(), err)
		}
		step()
	}
	for _, size := range []int{-1, 0, 1<<20 + 1} {
		if err := m.Grow(size); !errors.Is(err, ErrTooLarge) {
			t.Errorf("grow to %d = %v", size, err)
		}
	}
	check(t, m.Grow(large[0].Size()))
	if err := m.Grow(large[0].Size()); err == nil {
		t.Error("grown twice at once")
	}
	ended := serve(b)
	prove(t, m)
	put(t, m, -1, large...)
	answersOf(t, m, 1)
	b.Stop()
	<-ended
}

// TestGrowAtTheEnd ends a handler that has just been told to grow.
func TestGrowAtTheEnd(t *testing.T) {
	for _, end := range []func(m *Mailbox, b *Inbox){
		func(m *Mailbox, _ *Inbox) { m.Stop() },
		func(m *Mailbox, _ *Inbox) { sys.Close(m.channel); m.channel = -1 },
		func(_ *Mailbox, b *Inbox) { b.Stop() },
	} {
		m, b := pairOf(t, Options{ArenaSize: 1 << 16, ArenaMax: 1 << 20}, 1)
		check(t, m.Grow(1<<20))
		end(m, b)
		if err := <-serve(b); !errors.Is(err, io.EOF) {
			t.Errorf("take = %v, want the end", err)
		}
	}
}

// TestLiarsGrow has handlers that were asked for an arena of 1 MiB and do something else.
func TestLiarsGrow(t *testing.T) {
	hello := func(b *Inbox, size uint64) {
		b.send(kindHello, 0, Hello{ArenaAddr: address(b.arena), ArenaSize: size, InFlight: 1}.append(nil))
	}
	for _, test := range []struct {
		name string
		lie  func(b *Inbox)
		want string
	}{
		{"the same arena", func(b *Inbox) { hello(b, 1<<16) }, "an arena of 65536 bytes, want one of 1048576"},
		{"a smaller one", func(b *Inbox) { hello(b, 1<<20-64) }, "an arena of 1048512 bytes, want"},
		{"no arena", func(b *Inbox) { hello(b, 1<<40) }, "no arena can be"},
		{"nonce first", func(b *Inbox) { b.send(kindNonce, 0, make([]byte, nonceSize)) }, "nonce is not for now"},
		{"text", func(b *Inbox) { b.send(kindError, 0, []byte("why")) }, "error is not for now"},
		{"reply", func(b *Inbox) { b.send(kindReply, 0, []byte("pong")) }, "reply is not for now"},
		{"grow", func(b *Inbox) { b.send(kindGrow, 1<<20, nil) }, "grow is not for now"},
		{"twice", func(b *Inbox) { b.makeArena(1 << 20); hello(b, 1<<20); hello(b, 1<<20) }, "hello is not for now"},
	} {
		m, b := pairOf(t, Options{ArenaSize: 1 << 16, ArenaMax: 1 << 20}, 1)
		check(t, m.Grow(1<<20))
		first := b.mapping
		test.lie(b)
		if err := hear(t, m); !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: receive = %v, want %q", test.name, err, test.want)
		}
		if _, err := m.Reserve([]Block{{}}); err == nil {
			t.Errorf("%s: reserved", test.name)
		}
		if &first[0] != &b.mapping[0] {
			check(t, sys.Munmap(first))
		}
	}
}

// FuzzChannel has a handler send messages in any order while its supervisor does all that it may: events are reserved
// in an arena only that was proved and is as large as was asked for.
func FuzzChannel(f *testing.F) {
	f.Add([]byte{0, 1, 10, 4, 2, 11, 10, 0, 10, 1, 10})
	f.Add([]byte{0, 1, 10, 10, 4, 6, 6, 12, 10})
	f.Fuzz(func(t *testing.T, steps []byte) {
		m, b := unproved(t, Options{ArenaSize: 1 << 14, ArenaMax: 1 << 13, Shared: len(steps)%2 == 1})
		sizes, next := [...]uint64{1 << 12, 1 << 13, 1 << 14}, 0
		for i, step := range steps[:min(len(steps), 20)] { // more the channel does not hold
			number := uint32(i) % 4
			switch step % 13 {
			case 0, 7, 8:
				b.send(kindHello, 0, Hello{ArenaAddr: address(b.arena), ArenaSize: sizes[next%3], InFlight: 4}.append(nil))
				next++
			case 1:
				b.send(kindNonce, 0, b.arena[:nonceSize])
			case 4:
				b.send(kindError, number, []byte("why"))
			case 6:
				b.send(kindReply, number, make([]byte, maxBody))
			case 9:
				m.Grow(1 << (8 + i%6))
			case 10:
				progress, err := m.Receive()
				if err != nil {
					return
				}
				if progress == Greeted {
					check(t, m.Prove(self))
				}
			case 11:
				b.Answer(Answer{Number: uint64(number), Outcome: Done})
				if _, err := m.Answers(nil); err != nil {
					return
				}
			default:
				r, err := m.Reserve([]Block{{Data: make([]byte, 1<<(8+i%6))}})
				if err != nil {
					continue
				}
				if m.phase != phaseProved || m.ring.size < m.wanted || m.ring.size != m.hello.ArenaSize {
					t.Fatalf("reserved in an arena of %d bytes, %d wanted, phase %d", m.ring.size, m.wanted, m.phase)
				}
				check(t, r.Copy(self))
				check(t, r.Publish(-1))
			}
		}
	})
}
