package procwatch

import (
	"encoding/binary"
	"os"
	"strings"
	"testing"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// message is an event as the kernel sends it.
func message(what uint32, words ...uint32) []byte {
	ne := binary.NativeEndian
	event := ne.AppendUint64(ne.AppendUint32(ne.AppendUint32(nil, what), 1), 77)
	for _, w := range words {
		event = ne.AppendUint32(event, w)
	}
	size := sys.SizeofNlMsghdr + sys.SizeofCnMsg + len(event)
	b := ne.AppendUint32(nil, uint32(size))
	b = append(b, make([]byte, sys.SizeofNlMsghdr+sys.SizeofCnMsg-4)...)
	return append(b, event...)
}

func TestRecords(t *testing.T) {
	for _, c := range []struct {
		message []byte
		want    record
	}{
		{message(sys.PROC_EVENT_NONE, 1), record{time: 77, status: 1}},
		{message(sys.PROC_EVENT_FORK, 10, 11, 12, 13), record{time: 77, what: sys.PROC_EVENT_FORK, parent: 11, thread: 12, pid: 13}},
		{message(sys.PROC_EVENT_EXEC, 20, 21), record{time: 77, what: sys.PROC_EVENT_EXEC, thread: 20, pid: 21}},
		{message(sys.PROC_EVENT_EXIT, 30, 31, 0x900, 17), record{time: 77, what: sys.PROC_EVENT_EXIT, thread: 30, pid: 31, status: 0x900}},
		{message(0x200, 1, 2), record{time: 77, what: 0x200}}, // of no interest
	} {
		if r, rest, err := cutRecord(c.message); err != nil || r != c.want || len(rest) != 0 {
			t.Errorf("%+v, %d left, %v; want %+v", r, len(rest), err, c.want)
		}
		for n := range len(c.message) {
			if _, _, err := cutRecord(c.message[:n]); err == nil {
				t.Errorf("%d bytes of %+v are a record", n, c.want)
			}
		}
	}
	if _, _, err := cutRecord(message(sys.PROC_EVENT_EXIT, 30, 31)); err == nil {
		t.Error("an exit without a status is a record")
	}
}

func FuzzRecord(f *testing.F) {
	f.Add(message(sys.PROC_EVENT_FORK, 10, 11, 12, 13))
	f.Add(append(message(sys.PROC_EVENT_EXEC, 20, 21), message(sys.PROC_EVENT_EXIT, 30, 31, 0x900)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			r, rest, err := cutRecord(b)
			if err != nil {
				return
			}
			if len(rest) >= len(b) {
				t.Fatalf("%+v takes nothing", r)
			}
			b = rest
		}
	})
}

const zombie = "42 (a) b (c) Z 1 42 42 0 -1 4227084 0 0 0 0 0 0 0 0 20 0 1 0 777 0 0 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 2304\n"

func TestProcessState(t *testing.T) {
	s, err := parseState([]byte(zombie))
	if want := (state{comm: "a) b (c", began: 777, threads: 1, zombie: true, status: 0x900}); err != nil || s != want {
		t.Errorf("%+v, %v; want %+v", s, err, want)
	}
	own, err := readState(os.Getpid())
	if err != nil || own.over() || own.began == 0 || own.comm == "" {
		t.Errorf("of ourselves %+v, %v", own, err)
	}
	for _, bad := range []string{"", "42", "42 (x", "42 )x(", "42 (x) S 1 2", strings.Replace(zombie, "777", "x", 1)} {
		if s, err := parseState([]byte(bad)); err == nil {
			t.Errorf("%q is %+v", bad, s)
		}
	}
}

func FuzzProcessState(f *testing.F) {
	f.Add([]byte(zombie))
	f.Fuzz(func(_ *testing.T, text []byte) { parseState(text) })
}

func TestBelow(t *testing.T) {
	for _, c := range []struct {
		path, group string
		want        bool
	}{
		{"/a", "/a", true}, {"/a/b", "/a", true}, {"/a/b", "/a/", true}, {"/ab", "/a", false}, {"/", "/a", false},
		{"/a", "/", true}, {"/", "/", true}, {"/b/a", "/a", false},
	} {
		if got := below(c.path, c.group); got != c.want {
			t.Errorf("%s below %s: %t", c.path, c.group, got)
		}
	}
}
