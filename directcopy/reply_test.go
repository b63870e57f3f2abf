package directcopy

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// hear receives until a message is a lie.
func hear(t *testing.T, m *Mailbox) error {
	t.Helper()
	for {
		poll(t, m.Channel())
		if _, err := m.Receive(); err != nil {
			return err
		}
	}
}

// pattern is size bytes that repeat late.
func pattern(size int) []byte { return bytes.Repeat([]byte("0123456789a"), size/11+1)[:size] }

func TestReply(t *testing.T) {
	m, b := pair(t, 1<<16, Slots)
	for _, size := range []int{0, 1, maxBody - 1, maxBody, maxBody + 1, 100_000, MaxReply - 1, MaxReply} {
		put(t, m, -1, Block{})
		e, want, said := take(t, b), pattern(size), make(chan error)
		go func() { said <- b.Answer(Answer{Number: e.Number, Outcome: Done, Reply: want}) }()
		var got []Answer
		for deadline := time.Now().Add(patience); len(got) == 0 && time.Now().Before(deadline); { // a long one does not fit the channel
			_, err := m.Receive()
			check(t, err)
			got, err = m.Answers(nil)
			check(t, err)
		}
		check(t, <-said)
		if len(got) != 1 || !bytes.Equal(got[0].Reply, want) {
			t.Errorf("%d bytes: answers %.100v", size, got)
		}
	}
	for i := range m.said {
		if m.said[i].reply != nil {
			t.Errorf("reply %d is kept after its answer", i)
		}
	}
}

// TestRepliesInterleaved has pieces of two replies come in turns, and the later event be answered first.
func TestRepliesInterleaved(t *testing.T) {
	m, b := pair(t, 1<<16, 2)
	put(t, m, -1, Block{}, Block{})
	for _, piece := range []struct {
		number uint32
		size   int
	}{{0, maxBody}, {1, maxBody}, {1, 5}, {0, 7}} {
		check(t, b.send(kindReply, piece.number, bytes.Repeat([]byte{byte(piece.number)}, piece.size)))
	}
	for i, number := range []uint64{1, 0} {
		at := &b.page.answers[i]
		at.number.Store(number)
		at.outcome.Store(uint64(Done))
		at.reply.Store(uint64([]int{maxBody + 7, maxBody + 5}[number]))
	}
	b.page.answered.Store(2)
	got, err := m.Answers(nil)
	check(t, err)
	for i, size := range []int{maxBody + 5, maxBody + 7} {
		if want := bytes.Repeat([]byte{byte(1 - i)}, size); !bytes.Equal(got[i].Reply, want) {
			t.Errorf("answer %d has a reply of %d bytes, want %d", i, len(got[i].Reply), size)
		}
	}
}

// TestLiarsReply has handlers that took event 0, and send pieces that are none of its reply.
func TestLiarsReply(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer bool // first
		number uint32
		sizes  []int
		want   string
	}{
		{"no event", false, 1, []int{4}, "reply of event 1, which"},
		{"long ago", false, 1<<32 - 3, []int{4}, "reply of event 4294967293, which"},
		{"after the answer", true, 0, []int{4}, "reply of event 0, which"},
		{"empty", false, 0, []int{0}, "reply of event 0 is empty"},
		{"empty last", false, 0, []int{maxBody, 0}, "reply of event 0 is empty"},
		{"second", false, 0, []int{4, 4}, "goes on after 4 bytes"},
		{"second, whole", false, 0, []int{maxBody, 1, maxBody}, "goes on after 4097 bytes"},
		{"small pieces", false, 0, []int{1, 1, 1}, "goes on after 1 bytes"},
		{"large piece", false, 0, []int{maxBody + 1}, "longer than"},
		{"endless", false, 0, bytesOfReply(MaxReply + 1), "reply of event 0 is longer than 1048576 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, b := pair(t, 1<<16, 1)
			put(t, m, -1, Block{})
			if test.answer {
				check(t, b.Answer(Answer{Number: 0, Outcome: Done}))
				_, err := m.Answers(nil)
				check(t, err)
			}
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				for _, size := range test.sizes {
					b.send(kindReply, test.number, make([]byte, size))
				}
			}()
			if err := hear(t, m); !strings.Contains(err.Error(), test.want) {
				t.Errorf("receive = %v, want %q", err, test.want)
			}
			<-sent
		})
	}
}

// bytesOfReply is the sizes of the pieces of a reply.
func bytesOfReply(size int) (pieces []int) {
	for ; size > 0; size -= maxBody {
		pieces = append(pieces, min(size, maxBody))
	}
	return pieces
}

// TestReceiveIsBounded has a handler that sends more than one call of Receive takes.
func TestReceiveIsBounded(t *testing.T) {
	m, b := pair(t, 1<<16, Slots)
	put(t, m, -1, make([]Block, Slots)...)
	for n := range uint32(Slots) {
		check(t, b.send(kindError, n, []byte("why")))
		check(t, b.send(kindReply, n, []byte("pong")))
	}
	heard := func() (n int) {
		for i := range m.said {
			n += min(len(m.said[i].text), 1) + min(len(m.said[i].reply), 1)
		}
		return n
	}
	for _, want := range []int{maxBurst, 2 * Slots, 2 * Slots} {
		if _, err := m.Receive(); err != nil || heard() != want {
			t.Errorf("heard %d messages, %v, want %d", heard(), err, want)
		}
	}
}

// FuzzReply drives the books of what was said by the bytes of the input, against a plain map.
func FuzzReply(f *testing.F) {
	f.Add([]byte{0, 255, 0, 3, 1, 255, 1, 255, 1, 1})
	f.Fuzz(func(t *testing.T, steps []byte) {
		m := Mailbox{phase: phaseProved, published: 3}
		for range 3 {
			m.ring.take(0, 1)
		}
		want := map[uint64][]byte{}
		for ; len(steps) >= 2; steps = steps[2:] {
			number, size := uint64(steps[0]%4), int(steps[1])*maxBody/255
			body := pattern(size)
			err := m.keep(message{kind: kindReply, number: uint32(number), body: body})
			legal := number < 3 && size > 0 && len(want[number])%maxBody == 0 && len(want[number])+size <= MaxReply
			if (err == nil) != legal {
				t.Fatalf("%d bytes to event %d after %d: %v", size, number, len(want[number]), err)
			}
			if legal {
				want[number] = append(want[number], body...)
			}
		}
		for number, reply := range want {
			if s, err := m.takeSaid(number, 0, uint64(len(reply))); err != nil || !bytes.Equal(s.reply, reply) {
				t.Fatalf("event %d: %d bytes, %v, want %d", number, len(s.reply), err, len(reply))
			}
		}
	})
}
