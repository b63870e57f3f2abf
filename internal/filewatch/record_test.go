package filewatch

import (
	"encoding/binary"
	"testing"

	"github.com/aem-exec/aem-exec/internal/sys"
)

func FuzzRecord(f *testing.F) {
	ne := binary.NativeEndian
	whole := func(size uint32, name string) []byte {
		b := ne.AppendUint32(nil, 7)
		b = ne.AppendUint32(b, sys.IN_CREATE)
		b = ne.AppendUint32(b, 0)
		return append(ne.AppendUint32(b, size), name...)
	}
	f.Add(whole(16, "name\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add(whole(0, ""))
	f.Add(whole(1<<31, "name"))
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			r, rest, err := cutRecord(b)
			if err != nil {
				return
			}
			if len(rest)+sys.InotifyEventBytes+len(r.name) > len(b) {
				t.Fatalf("a name of %d bytes and %d left of %d", len(r.name), len(rest), len(b))
			}
			b = rest
		}
	})
}
