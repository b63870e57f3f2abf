package directcopy

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// TestLiarsAnswers has handlers that took the events 0 to 3, answered event 1, and then lie.
func TestLiarsAnswers(t *testing.T) {
	raw := func(b *Inbox, number, outcome, text, reply, reserved uint64) {
		at := &b.page.answers[b.answered%Slots]
		at.number.Store(number)
		at.outcome.Store(outcome)
		at.text.Store(text)
		at.reply.Store(reply)
		at.reserved.Store(reserved)
		b.answered++
		b.page.answered.Store(b.answered)
	}
	for _, test := range []struct {
		name string
		lie  func(b *Inbox)
		want string
	}{
		{"unknown", func(b *Inbox) { raw(b, 4, 1, 0, 0, 0) }, "event 4, which"},
		{"far", func(b *Inbox) { raw(b, 1<<63, 1, 0, 0, 0) }, "which the handler never had"},
		{"twice", func(b *Inbox) { raw(b, 1, 1, 0, 0, 0) }, "event 1 twice"},
		{"twice in a row", func(b *Inbox) { raw(b, 2, 1, 0, 0, 0); raw(b, 2, 1, 0, 0, 0) }, "event 2 twice"},
		{"outcome 0", func(b *Inbox) { raw(b, 2, 0, 0, 0, 0) }, "outcome 0"},
		{"outcome 4", func(b *Inbox) { raw(b, 2, 4, 0, 0, 0) }, "outcome 4"},
		{"reserved", func(b *Inbox) { raw(b, 2, 1, 0, 0, 1) }, "reserved"},
		{"flags", func(b *Inbox) { raw(b, 2, 1, 1<<32, 0, 0) }, "reserved"},
		{"text not sent", func(b *Inbox) { raw(b, 2, 1, 9, 0, 0) }, "text of 0 bytes and a reply of 0, and not of 9 and 0"},
		{"text of another size", func(b *Inbox) { b.send(kindError, 2, []byte("text")); raw(b, 2, 1, 9, 0, 0) }, "text of 4 bytes and a reply of 0, and not of 9 and 0"},
		{"reply not sent", func(b *Inbox) { raw(b, 2, 1, 0, 9, 0) }, "reply of 0, and not of 0 and 9"},
		{"reply of another size", func(b *Inbox) { b.send(kindReply, 2, []byte("pong")); raw(b, 2, 1, 0, 9, 0) }, "reply of 4, and not of 0 and 9"},
		{"reply too short", func(b *Inbox) { b.send(kindReply, 2, []byte("pong")); raw(b, 2, 1, 0, 3, 0) }, "reply of 4, and not of 0 and 3"},
		{"reply not named", func(b *Inbox) { b.send(kindReply, 2, []byte("pong")); raw(b, 2, 1, 3, 0, 0) }, "reply of 4, and not of 3 and 0"},
		{"reply of another", func(b *Inbox) { b.send(kindReply, 3, []byte("pong")); raw(b, 2, 1, 0, 4, 0) }, "event 2 has a text of 0 bytes and a reply of 0"},
		{"reply too long", func(b *Inbox) { raw(b, 2, 1, 0, MaxReply+1, 0) }, "reply of 1048577 bytes"},
		{"reply of what failed", func(b *Inbox) { raw(b, 2, 3, 0, 4, 0) }, "reply of 4 bytes and the outcome 3"},
		{"reply, then the end", func(b *Inbox) { raw(b, 2, 1, 0, 4, 0); syscall.Shutdown(b.channel, syscall.SHUT_RDWR) }, "reply of 0, and not of 0 and 4"},
		{"many", func(b *Inbox) { b.page.answered.Add(4) }, "4 answers to 3 events"},
		{"backwards", func(b *Inbox) { b.page.answered.Add(^uint32(0)) }, "4294967295 answers"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, b := pair(t, 1<<16, Slots)
			put(t, m, -1, Block{}, Block{}, Block{}, Block{})
			check(t, b.Answer(Answer{Number: 1, Outcome: Done}))
			_, err := m.Answers(nil)
			check(t, err)
			test.lie(b)
			if got, err := m.Answers(nil); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("answers %v, %v, want %q", got, err, test.want)
			}
		})
	}
}

// TestLiarsChannel has handlers that took event 0 and then send what they must not.
func TestLiarsChannel(t *testing.T) {
	for _, test := range []struct {
		name string
		lie  func(b *Inbox)
		want string
	}{
		{"garbage", func(b *Inbox) { sys.SendMessage(b.channel, []byte("GET / HTTP/1.1\r\n"), true) }, "magic"},
		{"unknown kind", func(b *Inbox) { b.send(99, 0, nil) }, "message kind 99 is not for now"},
		{"our kind", func(b *Inbox) { b.send(kindStop, 0, nil) }, "stop is not for now"},
		{"hello again", func(b *Inbox) { b.send(kindHello, 0, Hello{}.append(nil)) }, "hello is not for now"},
		{"nonce again", func(b *Inbox) { b.send(kindNonce, 0, make([]byte, nonceSize)) }, "nonce is not for now"},
		{"too long", func(b *Inbox) { b.send(kindError, 0, make([]byte, 60_000)) }, "longer"},
		{"error of no event", func(b *Inbox) { b.send(kindError, 1, []byte("why")) }, "error of event 1"},
		{"error of an event long ago", func(b *Inbox) { b.send(kindError, 1<<32-3, []byte("why")) }, "error of event 4294967293"},
		{"second error", func(b *Inbox) { b.send(kindError, 0, []byte("a")); b.send(kindError, 0, []byte("b")) }, "error of event 0 is not the first"},
		{"empty error", func(b *Inbox) { b.send(kindError, 0, nil) }, "error of event 0 is empty"},
		{"end", func(b *Inbox) { syscall.Shutdown(b.channel, syscall.SHUT_RDWR) }, io.EOF.Error()},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, b := pair(t, 1<<16, 1)
			put(t, m, -1, Block{})
			test.lie(b)
			if got, err := m.Receive(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("receive = %v, %v, want %q", got, err, test.want)
			}
		})
	}
}

// TestLiarsArena has handlers whose hello names memory that is not theirs to name.
func TestLiarsArena(t *testing.T) {
	page := func(protection int) []byte {
		p, err := syscall.Mmap(-1, 0, pageSize, protection, syscall.MAP_PRIVATE|syscall.MAP_ANON)
		check(t, err)
		t.Cleanup(func() { syscall.Munmap(p) })
		return p
	}
	gone, err := syscall.Mmap(-1, 0, pageSize, syscall.PROT_NONE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	check(t, err)
	unmapped := address(gone)
	check(t, syscall.Munmap(gone))
	for _, test := range []struct {
		name string
		addr uint64
		want error // of Prove; nil: the echo is wrong
	}{
		{"unmapped", unmapped, syscall.EFAULT},
		{"read-only", address(page(syscall.PROT_READ)), syscall.EFAULT},
		{"no access", address(page(syscall.PROT_NONE)), syscall.EFAULT},
		{"another's", address(page(syscall.PROT_READ | syscall.PROT_WRITE)), nil},
	} {
		m, b := unproved(t, Options{ArenaSize: 1 << 16})
		check(t, b.send(kindHello, 0, Hello{ArenaAddr: test.addr, ArenaSize: pageSize, InFlight: 1}.append(nil)))
		receive(t, m, Greeted)
		if _, err := m.Reserve([]Block{{}}); err == nil {
			t.Errorf("%s: reserved before the arena was proved", test.name)
		}
		if err := m.Prove(self); !errors.Is(err, test.want) {
			t.Errorf("%s: prove = %v, want %v", test.name, err, test.want)
		}
		if test.want != nil {
			continue
		}
		check(t, b.send(kindNonce, 0, b.arena[:nonceSize]))
		if _, err := m.Receive(); err == nil || !strings.Contains(err.Error(), "other bytes") {
			t.Errorf("%s: receive = %v", test.name, err)
		}
	}
}

// TestArenaTakenAway unmaps the arena after the hello: the copy says so and nothing is published.
func TestArenaTakenAway(t *testing.T) {
	m, b := pair(t, 1<<16, 1)
	check(t, sys.Munmap(b.mapping))
	b.mapping = nil
	r, err := m.Reserve([]Block{{Data: make([]byte, 5000)}})
	check(t, err)
	if err := r.Copy(self); !errors.Is(err, syscall.EFAULT) || !strings.Contains(err.Error(), "0 of 5128 bytes") {
		t.Errorf("copy = %v", err)
	}
	if err := r.Publish(-1); err == nil {
		t.Error("published what was not copied")
	}
}

// TestChannelFull has a handler that reads nothing: sending to it ends in an error and not in a wait.
func TestChannelFull(t *testing.T) {
	m, _ := pair(t, 1<<16, 1)
	var err error
	for i := 0; err == nil && i < 100_000; i++ {
		err = m.Stop()
	}
	if !errors.Is(err, syscall.EAGAIN) {
		t.Errorf("stop = %v, want EAGAIN", err)
	}
	r, err := m.Reserve([]Block{{}})
	check(t, err)
	check(t, r.Copy(self))
	if err := r.Publish(m.doorbell); !errors.Is(err, syscall.EAGAIN) {
		t.Errorf("publish with a descriptor = %v, want EAGAIN", err)
	}
	r.Cancel()
	if m.InFlight() != 0 || m.page.head.Load() != 0 {
		t.Error("published all the same")
	}
}

// TestDescriptorsSentToUs are dropped by the kernel.
func TestDescriptorsSentToUs(t *testing.T) {
	m, b := pair(t, 1<<16, 1)
	put(t, m, -1, Block{})
	before := openDescriptors(t)
	check(t, sys.SendDescriptor(b.channel, appendMessage(nil, kindError, 0, []byte("why")), b.channel, true))
	if _, err := m.Receive(); err != nil {
		t.Fatal(err)
	}
	if after := openDescriptors(t); after != before || m.said[0].text != "why" {
		t.Errorf("%d descriptors, then %d; text %q", before, after, m.said[0].text)
	}
}

func openDescriptors(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	check(t, err)
	return len(entries)
}

// TestUnreadMessages has a handler that ends with messages of ours unread: what it sent before still counts.
func TestUnreadMessages(t *testing.T) {
	m, b := pair(t, 1<<16, 1)
	put(t, m, -1, Block{})
	check(t, m.Stop())
	check(t, b.Answer(Answer{Number: 0, Outcome: Fail, Text: "why"}))
	sys.Close(b.channel)
	b.channel = -1
	if got, err := m.Answers(nil); len(got) != 1 || got[0].Text != "why" || err != nil {
		t.Errorf("answers %v, %v", got, err)
	}
	if _, err := m.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("receive = %v, want EOF", err)
	}
}

// answeredWord is the place of the count of answers.
const answeredWord = 132 / 4

// words is the control page as a liar sees it.
func words(p *page) *[pageSize / 4]atomic.Uint32 {
	return (*[pageSize / 4]atomic.Uint32)(unsafe.Pointer(p))
}

// TestScribbler writes random words all over the page while events are published and answers read: whatever is read
// there, the supervisor's own books stay true.
func TestScribbler(t *testing.T) {
	for seed := range uint64(50) {
		m, _ := pair(t, 1<<16, Slots)
		var stop atomic.Bool
		var scribbler sync.WaitGroup
		scribbler.Go(func() {
			r, w := rand.New(rand.NewPCG(seed, 0)), words(m.page)
			for !stop.Load() {
				w[r.IntN(len(w))].Store(r.Uint32())
				w[answeredWord].Store(r.Uint32N(6)) // often a plausible number of answers
			}
		})
		var lie error
		for deadline := time.Now().Add(patience); lie == nil && time.Now().Before(deadline); {
			if r, err := m.Reserve(make([]Block, 5)); err == nil {
				check(t, r.Copy(self))
				check(t, r.Publish(-1))
			}
			before, got := m.InFlight(), []Answer(nil)
			got, lie = m.Answers(nil)
			if m.InFlight() != before-len(got) || m.Taken() > m.published || m.InFlight() > Slots {
				t.Fatalf("in flight %d, then %d after %d answers", before, m.InFlight(), len(got))
			}
		}
		stop.Store(true)
		scribbler.Wait()
		if lie == nil {
			t.Error("no lie was found")
		}
	}
}

// FuzzAnswers reads arbitrary pages.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 3, 0, 0, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, b := pair(t, 1<<14, Slots)
		put(t, m, -1, make([]Block, 10)...)
		const handlerWords = 128
		all := unsafe.Slice((*byte)(unsafe.Pointer(m.page)), pageSize)
		n := copy(all[handlerWords:handlerWords+8], raw)
		copy(all[unsafe.Offsetof(m.page.answers):], raw[n:])
		got, err := m.Answers(nil)
		if m.InFlight() != 10-len(got) || err == nil && uint32(len(got)) != m.consumed {
			t.Errorf("in flight %d after %d answers, %v", m.InFlight(), len(got), err)
		}
		b.Stop()
	})
}
