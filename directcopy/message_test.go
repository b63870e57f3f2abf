package directcopy

import (
	"strings"
	"testing"
)

func TestMessageForm(t *testing.T) {
	good := appendMessage(nil, kindError, 5, []byte("why"))
	change := func(at int, b byte) []byte {
		c := append([]byte(nil), good...)
		c[at] = b
		return c
	}
	for _, test := range []struct {
		name string
		raw  []byte
		want string // "" is no error
	}{
		{"good", good, ""},
		{"short", good[:15], "no header"},
		{"magic", change(0, 'B'), "magic"},
		{"version", change(4, 2), "version 2"},
		{"size", change(8, 4), "size 4"},
		{"cut", good[:18], "size 3 with 2"},
		{"long", make([]byte, maxMessage+1), "magic"},
		{"long text", appendMessage(nil, kindError, 0, make([]byte, MaxText+1)), "longer"},
	} {
		_, err := parseMessage(test.raw)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

// FuzzMessage reads arbitrary messages and hellos.
func FuzzMessage(f *testing.F) {
	f.Add(appendMessage(nil, kindError, 5, []byte("why")))
	f.Add(appendMessage(nil, kindHello, 0, Hello{1 << 20, 1 << 20, 1, 2, 1, flagAppAlloc}.append(nil)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := parseMessage(raw)
		if err != nil || m.kind != kindHello {
			return
		}
		h, err := parseHello(m.body)
		if err == nil && (h.ArenaAddr+h.ArenaSize < h.ArenaAddr || h.InFlight == 0 || h.InFlight > Slots) {
			t.Errorf("hello %+v passed", h)
		}
	})
}

func TestHelloLimits(t *testing.T) {
	good := Hello{ArenaAddr: 1 << 20, ArenaSize: 1 << 20, InFlight: 1}
	for _, test := range []struct {
		name   string
		change func(*Hello)
		ok     bool
	}{
		{"good", func(*Hello) {}, true},
		{"most", func(h *Hello) { h.ArenaSize, h.InFlight = maxArena, Slots }, true},
		{"odd address", func(h *Hello) { h.ArenaAddr++ }, false},
		{"kernel address", func(h *Hello) { h.ArenaAddr = 0xffff_8000_0000_0000 }, false},
		{"small", func(h *Hello) { h.ArenaSize = minArena - 1 }, false},
		{"large", func(h *Hello) { h.ArenaSize = maxArena + 1 }, false},
		{"none in flight", func(h *Hello) { h.InFlight = 0 }, false},
		{"many in flight", func(h *Hello) { h.InFlight = Slots + 1 }, false},
	} {
		h := good
		test.change(&h)
		if _, err := parseHello(h.append(nil)); (err == nil) != test.ok {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	if _, err := parseHello(good.append(nil)[:31]); err == nil {
		t.Error("a hello of 31 bytes")
	}
}
