package source

import "math/bits"

// buffers keeps memory that was used, so that one more event costs no allocation. There is a list for each power of
// two. It belongs to the loop.
type buffers struct {
	free [largestBuffer + 1][][]byte
	kept int // bytes in the lists
}

// What is kept for later.
const (
	smallestBuffer = 7        // 128 bytes
	largestBuffer  = 20       // 1 MiB: larger ones are left to the garbage collector
	keptBytes      = 16 << 20 // over all sizes
)

// get is an empty buffer with room for n bytes.
func (b *buffers) get(n int) []byte {
	class := classOf(n)
	if class > largestBuffer {
		return make([]byte, 0, n)
	}
	list := b.free[class]
	if len(list) == 0 {
		return make([]byte, 0, 1<<class)
	}
	last := len(list) - 1
	buf := list[last]
	list[last] = nil
	b.free[class] = list[:last]
	b.kept -= 1 << class
	return buf
}

// put takes back what get gave. Nobody may use it any more.
func (b *buffers) put(buf []byte) {
	size := cap(buf)
	class := classOf(size)
	if size != 1<<class || class > largestBuffer || b.kept+size > keptBytes {
		return
	}
	b.free[class] = append(b.free[class], buf[:0])
	b.kept += size
}

// add appends data to a buffer that get gave, or to none, in a larger one if it must.
func (b *buffers) add(buf, data []byte) []byte {
	if n := len(buf) + len(data); n > cap(buf) {
		larger := append(b.get(max(n, 2*cap(buf))), buf...)
		b.put(buf)
		buf = larger
	}
	return append(buf, data...)
}

func classOf(n int) int { return max(smallestBuffer, bits.Len(uint(max(n, 1)-1))) }
