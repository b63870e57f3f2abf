package directcopy

import (
	"testing"
	"unsafe"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// FuzzInbox has a handler's end face a supervisor that sends any message, writes any bytes to the arena and the page, and
// is gone then: what it takes lies in its arena, and then it ends.
func FuzzInbox(f *testing.F) {
	block := Block{Facts: []Fact{{"app", "shop"}}, Data: []byte("data")}
	whole := pad(append(block.appendHead(nil, 0), block.Data...), 0, blockAlign)
	f.Add(append([]byte{2, 0, byte(len(whole))}, whole...), false)
	f.Add([]byte{0, byte(kindStop), 0, 0, 3, 1, 0}, false)
	f.Add([]byte{0, byte(kindGrow), 1, 0, 0, byte(kindNonce), 0, 0}, true)
	f.Add([]byte{0, byte(kindAlloc), 0, 16, 0, 1, 0, 0, 0, 0, 0, 0, 96, 0, 0, 0, 0, 0, 0, 0}, true)
	f.Fuzz(func(t *testing.T, steps []byte, app bool) {
		m, b := pairOf(t, Options{ArenaSize: 1 << 14, ArenaMax: 1 << 16, AppAlloc: app}, Slots)
		if app {
			b.landing.memory.Free = nil // what it never gave out cannot be taken back
		}
		page := unsafe.Slice((*byte)(unsafe.Pointer(m.page)), pageSize)
		next := func(n int) []byte { // the next n bytes, or what is left
			n = min(n, len(steps))
			step := steps[:n]
			steps = steps[n:]
			return step
		}
		for messages := 0; len(steps) > 3 && messages < 20; { // more the channel does not hold
			switch op := next(3); op[0] % 4 {
			case 0: // a message of a kind; a GROW asks for no more than there may be
				number := uint32(op[2]) << 8
				sys.SendMessage(m.channel, appendMessage(nil, kind(op[1]%16), number, next(int(op[2]))), false)
				messages++
			case 1: // any bytes, but for a GROW
				raw := next(int(op[2]))
				if msg, err := parseMessage(raw); err != nil || msg.kind != kindGrow {
					sys.SendMessage(m.channel, raw, false)
				}
				messages++
			case 2: // a block where the first entry is, or elsewhere
				at := int(op[1]) * blockAlign
				bytes := next(int(op[2]))
				copy(b.arena[at:], bytes)
				e := &m.page.entries[0]
				e.offset.Store(uint64(at) + b.origin())
				e.size.Store(uint32(len(bytes)))
				m.page.head.Store(1)
			case 3: // the page's words
				copy(page[int(op[1])*16:], next(int(op[2])))
			}
		}
		sys.Close(m.channel)
		m.channel = -1
		for range 3 * Slots { // the page may say that there are events without end
			e, err := b.Take()
			if err != nil {
				return
			}
			if n := address(e.Data); len(e.Data) > 0 && (n < b.address() || n+uint64(len(e.Data)) > b.address()+uint64(len(b.arena))) {
				t.Fatalf("%d bytes at %#x, which is not in the arena", len(e.Data), n)
			}
			e.Fact("none")
			if e.FD >= 0 {
				sys.Close(e.FD)
			}
			b.Answer(Answer{Number: e.Number, Outcome: Done, Text: "why"})
		}
	})
}
