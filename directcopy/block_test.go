package directcopy

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzBlock lays a block out and reads it back.
func FuzzBlock(f *testing.F) {
	f.Add("peer", "127.0.0.1:7", []byte("data"), uint64(1)<<63, int64(-1))
	f.Add("", "", []byte(nil), uint64(0), int64(0))
	f.Fuzz(func(t *testing.T, name, value string, data []byte, id uint64, at int64) {
		b := Block{ID: id, Job: ^id, Time: at, Deadline: -at, Attempt: 1, Count: 2, Priority: 31, Interrupted: id == 0, Data: data,
			Facts: []Fact{{"first", "1"}, {name, value}, {"last", ""}}}
		if b.check() != nil {
			return
		}
		raw := append(b.appendHead(nil, 9), data...)
		raw = pad(raw, 0, blockAlign)
		if len(raw) != b.Size() {
			t.Fatalf("%d bytes laid out, size says %d", len(raw), b.Size())
		}
		e, err := decode(raw)
		check(t, err)
		if e.Number != 9 || e.ID != b.ID || e.Job != b.Job || e.Time != b.Time || e.Deadline != b.Deadline ||
			e.Attempt != 1 || e.Count != 2 || e.Priority != 31 || e.Interrupted != b.Interrupted || !bytes.Equal(e.Data, data) {
			t.Errorf("read %+v of %+v", e, b)
		}
		want := value
		if name == "first" {
			want = "1"
		}
		if got, ok := e.Fact(name); string(got) != want || !ok {
			t.Errorf("fact %q = %q, %t, want %q", name, got, ok, want)
		}
	})
}

// FuzzDecode reads arbitrary bytes: an error or an event whose parts lie inside.
func FuzzDecode(f *testing.F) {
	b := Block{Facts: []Fact{{"app", "shop"}}, Data: []byte("data")}
	good := pad(append(b.appendHead(nil, 3), b.Data...), 0, blockAlign)
	f.Add(good)
	for _, at := range []int{0, 4, 8, 72, 76, 80, 88, 96, 98} {
		bad := bytes.Clone(good)
		bad[at]++
		if _, err := decode(bad); err == nil && at < 80 { // the others only move what is read
			f.Errorf("decode took byte %d raised by one", at)
		}
		f.Add(bad)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := decode(raw)
		if err == nil {
			e.Fact("app")
			bytes.Count(e.Data, []byte{0})
		}
	})
}

func TestRefusedFacts(t *testing.T) {
	for _, test := range []struct {
		fact Fact
		want string
	}{
		{Fact{"path", "a\x00b"}, "NUL"},
		{Fact{"pa\x00th", ""}, "NUL"},
		{Fact{"path", strings.Repeat("x", 4097)}, "longer"},
		{Fact{strings.Repeat("x", 64), ""}, "longer"},
	} {
		m, _ := pair(t, 1<<16, 1)
		_, err := m.Reserve([]Block{{Facts: []Fact{test.fact}}})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("reserve with fact %.10q = %v, want %q", test.fact, err, test.want)
		}
	}
}
