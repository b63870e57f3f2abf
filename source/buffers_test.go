package source

import (
	"bytes"
	"testing"
)

func TestBuffersAreUsedAgain(t *testing.T) {
	var b buffers
	for _, n := range []int{0, 1, 128, 129, 64 << 10, 1 << largestBuffer} {
		buf := b.get(n)
		if len(buf) != 0 || cap(buf) < n {
			t.Errorf("for %d bytes there is room for %d", n, cap(buf))
		}
		buf = append(buf, 'x')
		b.put(buf)
		if again := b.get(n); &again[:1][0] != &buf[0] {
			t.Errorf("%d bytes are made anew", n)
		}
	}
	if b.kept != 0 {
		t.Errorf("%d bytes are counted as kept", b.kept)
	}
}

func TestBuffersKeepSoMuchOnly(t *testing.T) {
	var b buffers
	for range 2 * keptBytes >> largestBuffer {
		b.put(make([]byte, 0, 1<<largestBuffer))
	}
	b.put(make([]byte, 0, 1<<(largestBuffer+1)))
	b.put(make([]byte, 0, 1000)) // no size of ours
	b.put(nil)
	if b.kept != keptBytes || len(b.free[largestBuffer]) != keptBytes>>largestBuffer {
		t.Errorf("%d bytes are kept in %d buffers", b.kept, len(b.free[largestBuffer]))
	}
}

func TestBuffersGrow(t *testing.T) {
	var b buffers
	var buf, want []byte
	for i := range 1000 {
		piece := bytes.Repeat([]byte{byte(i)}, i)
		buf, want = b.add(buf, piece), append(want, piece...)
	}
	if !bytes.Equal(buf, want) {
		t.Error("what was added is not there")
	}
}
