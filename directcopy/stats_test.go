package directcopy

import (
	"errors"
	"syscall"
	"testing"
)

// TestStats follows an arena through what can happen to it.
func TestStats_R041(t *testing.T) { eachCopy(t, testStats) }

func testStats(t *testing.T, o Options) {
	o.ArenaSize, o.ArenaMax = 1<<16, 1<<20
	m, b := unproved(t, o)
	want := Stats{}
	expect := func(when string) {
		t.Helper()
		if got := m.Stats(); got != want {
			t.Errorf("%s: %+v, want %+v", when, got, want)
		}
	}
	answer := func(n int) {
		for range n {
			check(t, b.Answer(Answer{Number: take(t, b).Number, Outcome: Done}))
		}
		_, err := m.Answers(nil)
		check(t, err)
	}
	expect("before the hello")
	said := make(chan error, 1)
	go func() { said <- b.Hello(4) }()
	prove(t, m)
	check(t, <-said)
	want.Size = 1 << 16
	expect("after it")

	put(t, m, -1, Block{}, Block{Data: make([]byte, 100)})
	want.Used, want.Peak, want.Copies, want.Bytes = 128+256, 128+256, 1, 128+128+100
	expect("two events in one copy")
	if _, err := m.Reserve([]Block{{Data: make([]byte, 65_300)}}); !errors.Is(err, ErrFull) {
		t.Errorf("reserve = %v, want full", err)
	}
	want.Full = 1
	expect("no room")
	answer(1)
	want.Used = 256
	expect("one answered")
	answer(1)
	want.Used = 0
	expect("both answered")

	r, err := m.Reserve([]Block{{Data: make([]byte, 1000)}})
	check(t, err)
	want.Used, want.Peak = 1152, 1152
	expect("reserved")
	r.Cancel()
	want.Used = 0
	expect("given up")

	check(t, m.Grow(1<<18))
	ended := serve(b)
	prove(t, m)
	want.Size, want.Grown = 1<<18, 1
	expect("grown")
	b.Stop()
	<-ended
	check(t, m.Close())
	expect("closed")
}

// TestShortWrites counts a write that a hole ended early.
func TestShortWrites(t *testing.T) {
	m, b := pair(t, 1<<16, 1)
	check(t, syscall.Mprotect(b.mapping[2*pageSize:3*pageSize], syscall.PROT_READ))
	r, err := m.Reserve([]Block{{Data: make([]byte, 3*pageSize)}})
	check(t, err)
	if err := r.Copy(self); !errors.Is(err, syscall.EFAULT) {
		t.Errorf("copy over a hole = %v", err)
	}
	r.Cancel()
	if got := m.Stats(); got.Short != 1 || got.Copies != 0 {
		t.Errorf("%+v, want a short write and no copy", got)
	}
}
