package directcopy

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// hatch is a mailbox whose handler, this process, said that it is a zygote, and the handler's end.
func hatch(t testing.TB, arena int) (*Mailbox, *Inbox) {
	t.Helper()
	m, b := unproved(t, Options{ArenaSize: arena, Zygote: true})
	sayHello(t, b, flagZygote)
	receive(t, m, Greeted)
	if got := m.Hello().PID; got != uint32(self) {
		t.Fatalf("process %d said hello, the mailbox knows %d", self, got)
	}
	check(t, m.Prove(self))
	check(t, b.send(kindNonce, 0, m.nonce[:]))
	receive(t, m, Proved)
	return m, b
}

func sayHello(t testing.TB, b *Inbox, flags uint32) {
	t.Helper()
	hello := Hello{ArenaAddr: address(b.arena), ArenaSize: uint64(len(b.arena)), PID: 1, InFlight: Slots, Flags: flags}
	check(t, b.send(kindHello, 0, hello.append(nil)))
}

// lay publishes n events, each with two descriptors.
func lay(t testing.TB, m *Mailbox, n int) {
	t.Helper()
	r, err := m.Reserve(make([]Block, n))
	check(t, err)
	check(t, r.Copy(self))
	fds := make([][]int, r.Len())
	for i := range fds {
		fds[i] = []int{m.doorbell, m.answersFD}
	}
	check(t, r.PublishEach(fds))
}

func word(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }

func answerBody(words ...uint64) (b []byte) {
	for i := range 5 {
		n := uint64(0)
		if i < len(words) {
			n = words[i]
		}
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return b
}

// The numbers of processes that the tests speak for; no process has to have them.
const (
	kid     = 1 << 22
	sibling = kid + 1
)

func TestHelloFlags(t *testing.T) {
	for _, test := range []struct {
		zygote bool
		flags  uint32
		want   string
	}{
		{true, 0, "its SDK knows nothing of life"},
		{true, 3, "flags 0x3, asked for were 0x1"},
		{false, 1, "flags 0x1, asked for were 0x0"},
	} {
		m, b := unproved(t, Options{ArenaSize: 1 << 16, Zygote: test.zygote})
		sayHello(t, b, test.flags)
		if _, err := m.Receive(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

// TestChildsWay goes from publication to the end of two children, in both orders.
func TestChildsWay(t *testing.T) {
	m, _ := hatch(t, 1<<16)
	lay(t, m, 3)
	say := func(from int, k kind, number uint32, body []byte, want Progress) Child {
		t.Helper()
		if got, err := m.hear(message{k, number, body, from}); got != want || err != nil {
			t.Fatalf("%v of event %d: %v, %v", k, number, got, err)
		}
		return m.Child()
	}
	if got := say(kid, kindBorn, 1, nil, Born); got.Number != 1 || got.PID != kid || m.InFlight() != 2 {
		t.Errorf("born %+v, in flight %d", got, m.InFlight())
	}
	say(sibling, kindBorn, 0, nil, Born)
	if got := say(self, kindUnborn, 2, word(11), Unborn); got.Errno != syscall.EAGAIN || m.InFlight() != 0 {
		t.Errorf("unborn %+v, in flight %d", got, m.InFlight())
	}
	reply := bytes.Repeat([]byte("r"), maxBody+5)
	say(kid, kindReply, 1, reply[:maxBody], Nothing)
	say(sibling, kindError, 0, []byte("why"), Nothing)
	say(kid, kindReply, 1, reply[maxBody:], Nothing)
	if got := say(kid, kindAnswer, 1, answerBody(1, 1, 0, maxBody+5), Answered); got.Answer.Outcome != Done || !bytes.Equal(got.Answer.Reply, reply) {
		t.Errorf("answer %+v", got.Answer)
	}
	if got := say(sibling, kindAnswer, 0, answerBody(0, 2|7<<32, 3), Answered); got.Answer.Outcome != Retry || got.Answer.Text != "why" {
		t.Errorf("answer %+v", got.Answer)
	}
	lay(t, m, Slots) // children take no place
	check(t, m.AskEnd(1))
	if err := m.AskEnd(1); err == nil {
		t.Error("asked twice")
	}
	if got := say(self, kindEnded, 1, word(0x0300), Ended); got.Number != 1 || got.Exit != (sys.Exit{Code: 3}) {
		t.Errorf("ended %+v", got)
	}
	m.Forget(0)
	if err := m.AskEnd(0); err == nil || len(m.zygote.children)+len(m.zygote.pids) != 0 {
		t.Errorf("children %v %v, %v", m.zygote.children, m.zygote.pids, err)
	}
	say(kid, kindBorn, 10, nil, Born) // the number of a process that is gone may come again
}

// TestLiarsChildren has a zygote with the events 0 to 2: 0 is answered and 1 born, both unasked, and 2 in flight.
func TestLiarsChildren(t *testing.T) {
	for _, test := range []struct {
		name string
		from int
		kind kind
		of   uint32
		body []byte
		want string
	}{
		{"born to the zygote", self, kindBorn, 2, nil, "which is no new child"},
		{"born out of sight", 0, kindBorn, 2, nil, "which is no new child"},
		{"born to another's child", sibling, kindBorn, 2, nil, "which is no new child"},
		{"born twice", kid + 2, kindBorn, 1, nil, "which the handler does not have"},
		{"born for no event", kid + 2, kindBorn, 3, nil, "which the handler does not have"},
		{"born with words", kid + 2, kindBorn, 2, []byte("x"), "1 bytes in a born"},
		{"unborn by a child", kid, kindUnborn, 2, word(11), fmt.Sprintf("unborn from process %d", kid)},
		{"unborn after birth", self, kindUnborn, 1, word(11), "which the handler does not have"},
		{"unborn without a reason", self, kindUnborn, 2, word(0), "0, which is no errno"},
		{"unborn for a strange reason", self, kindUnborn, 2, word(1 << 32), "which is no errno"},
		{"unborn cut", self, kindUnborn, 2, nil, "0 bytes in an unborn"},
		{"words of an event in flight", kid + 2, kindError, 2, []byte("why"), "which no child has"},
		{"words of another's event", kid, kindReply, 1, []byte("why"), fmt.Sprintf("its child is %d", sibling)},
		{"words of the zygote", self, kindError, 1, []byte("why"), fmt.Sprintf("its child is %d", sibling)},
		{"words after the answer", kid, kindError, 0, []byte("why"), "which is answered"},
		{"empty words", sibling, kindError, 1, nil, "is empty"},
		{"answer of the zygote", self, kindAnswer, 1, answerBody(1, 1), fmt.Sprintf("its child is %d", sibling)},
		{"answer of a sibling", kid, kindAnswer, 1, answerBody(1, 1), fmt.Sprintf("its child is %d", sibling)},
		{"answer twice", kid, kindAnswer, 0, answerBody(0, 1), "which is answered"},
		{"answer to an event in flight", kid + 2, kindAnswer, 2, answerBody(2, 1), "which no child has"},
		{"answer to another event", sibling, kindAnswer, 1, answerBody(0, 1), "an answer to event 0 from the child of event 1"},
		{"answer cut", sibling, kindAnswer, 1, answerBody(1, 1)[:39], "39 bytes in an answer"},
		{"answer with outcome 4", sibling, kindAnswer, 1, answerBody(1, 4), "outcome 4"},
		{"answer with words not said", sibling, kindAnswer, 1, answerBody(1, 2, 5), "text of 0 bytes"},
		{"answer with reserved bits", sibling, kindAnswer, 1, answerBody(1, 1, 0, 0, 1), "reserved"},
		{"ended unasked", self, kindEnded, 1, word(0), "which was not asked for"},
		{"ended of no child", self, kindEnded, 2, word(0), "which was not asked for"},
		{"ended by a child", sibling, kindEnded, 0, word(0), fmt.Sprintf("ended from process %d", sibling)},
		{"hello of a child", sibling, kindHello, 0, Hello{}.append(nil), fmt.Sprintf("hello from process %d", sibling)},
		{"hello again", self, kindHello, 0, Hello{}.append(nil), "hello is not for now"},
		{"our kind", self, kindStop, 0, nil, "stop is not for now"},
		{"unknown kind", self, 99, 0, nil, "message kind 99 is not for now"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, _ := hatch(t, 1<<16)
			lay(t, m, 3)
			for _, msg := range []message{{kindBorn, 0, nil, kid}, {kindBorn, 1, nil, sibling}, {kindAnswer, 0, answerBody(0, 1), kid}} {
				_, err := m.hear(msg)
				check(t, err)
			}
			if _, err := m.hear(message{test.kind, test.of, test.body, test.from}); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

// TestLiarsEnds has a zygote that is asked how a child ended.
func TestLiarsEnds(t *testing.T) {
	for status, want := range map[uint64]string{
		0x7f: "no status", 0x137f: "no status", 0xffff: "no status", 1 << 16: "no status", 1 << 32: "no status",
	} {
		m, _ := hatch(t, 1<<16)
		lay(t, m, 1)
		_, err := m.hear(message{kindBorn, 0, nil, kid})
		check(t, err)
		check(t, m.AskEnd(0))
		if _, err := m.hear(message{kindEnded, 0, word(status), self}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("status %#x: %v", status, err)
		}
		if _, err := m.hear(message{kindEnded, 0, word(9), self}); err != nil {
			t.Errorf("status 9: %v", err)
		}
		if _, err := m.hear(message{kindEnded, 0, word(9), self}); err == nil {
			t.Error("ended twice")
		}
	}
}

// TestZygotesDescriptorsSentToUs are dropped by the kernel, though it says who sent them.
func TestZygotesDescriptorsSentToUs(t *testing.T) {
	m, b := hatch(t, 1<<16)
	lay(t, m, 1)
	before := openDescriptors(t)
	check(t, sys.SendDescriptors(b.channel, appendMessage(nil, kindUnborn, 0, word(11)), []int{b.channel, b.waiter, 0}, true))
	if step, err := m.Receive(); step != Unborn || err != nil {
		t.Fatal(step, err)
	}
	if after := openDescriptors(t); after != before {
		t.Errorf("%d descriptors, then %d", before, after)
	}
}

// TestNumberOfAChildIsNotGivenAgain holds an event back whose number has the low half of a child's.
func TestNumberOfAChildIsNotGivenAgain(t *testing.T) {
	m, _ := hatch(t, 1<<16)
	m.zygote.children[2] = &child{number: 2, pid: kid}
	m.zygote.pids[kid] = true
	r, err := m.Reserve(make([]Block, 5))
	check(t, err)
	if r.Len() != 2 {
		t.Errorf("%d events have room", r.Len())
	}
	r.Cancel()
	m.Forget(2)
	if r, err = m.Reserve(make([]Block, 5)); err != nil || r.Len() != 5 {
		t.Errorf("%d events have room, %v", r.Len(), err)
	}
}

// FuzzZygote has a zygote and its children say anything: whatever it is, the books of events in flight stay true, and no
// child is there without its birth.
func FuzzZygote(f *testing.F) {
	f.Add([]byte{8, 0, 1, 0, 9, 0, 1, 40, 10, 0, 0, 8})
	f.Add([]byte{8, 0, 1, 0, 8, 1, 2, 0, 4, 1, 2, 9, 6, 0, 1, 200, 11, 2, 0, 8})
	f.Fuzz(func(t *testing.T, steps []byte) {
		m, _ := hatch(t, 1<<14)
		lay(t, m, 10)
		alive, answered := map[uint32]bool{}, map[uint32]bool{}
		for ; len(steps) >= 4; steps = steps[4:] {
			msg := message{kind: kind(steps[0] % 13), number: uint32(steps[1] % 12), from: int(steps[2] % 8), body: bytes.Repeat([]byte{0}, int(steps[3]))}
			if msg.from == 0 {
				msg.from = self
			}
			if len(msg.body) == answerSize {
				binary.LittleEndian.PutUint64(msg.body, uint64(msg.number))
				msg.body[8] = 1
			}
			if steps[3]%3 == 0 && alive[msg.number] {
				m.AskEnd(uint64(msg.number)) //nolint:errcheck // it may be asked already
			}
			step, err := m.hear(msg)
			if err != nil {
				continue // its end; what follows must be as harmless
			}
			switch n := uint32(m.Child().Number); step {
			case Born:
				if alive[n] {
					t.Fatalf("event %d is born twice", n)
				}
				alive[n] = true
			case Answered:
				if !alive[n] || answered[n] {
					t.Fatalf("event %d is answered, alive %t", n, alive[n])
				}
				answered[n] = true
			case Ended:
				if !alive[n] {
					t.Fatalf("event %d's child ended before it began", n)
				}
				delete(alive, n)
			}
			if len(m.zygote.children) != len(alive) || len(m.zygote.pids) != len(alive) || m.InFlight() < 0 || m.InFlight() > 10 {
				t.Fatalf("children %d, pids %d, want %d; in flight %d", len(m.zygote.children), len(m.zygote.pids), len(alive), m.InFlight())
			}
		}
	})
}
