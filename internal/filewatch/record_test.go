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

func FuzzAct(f *testing.F) {
	ne := binary.NativeEndian
	info := func(kind byte, handle uint32, rest string) []byte {
		b := append([]byte{kind, 0}, 0, 0)
		b = ne.AppendUint32(append(b, "filesyst"...), handle)
		b = append(ne.AppendUint32(b, 1), rest...)
		ne.PutUint16(b[2:], uint16(len(b)))
		return b
	}
	whole := func(infos ...[]byte) []byte {
		b := ne.AppendUint32(nil, 0)
		b = ne.AppendUint16(append(b, sys.FanotifyMetadataVersion, 0), sys.FanotifyMetadataBytes)
		b = ne.AppendUint64(b, sys.FAN_CREATE)
		b = ne.AppendUint32(ne.AppendUint32(b, 1<<32-1), 7)
		for _, i := range infos {
			b = append(b, i...)
		}
		ne.PutUint32(b, uint32(len(b)))
		return b
	}
	entry := info(sys.FAN_EVENT_INFO_TYPE_DFID_NAME, 4, "hereName\x00\x00")
	f.Add(whole(entry, info(sys.FAN_EVENT_INFO_TYPE_FID, 4, "that")))
	f.Add(whole(info(sys.FAN_EVENT_INFO_TYPE_OLD_DFID_NAME, 4, "herex\x00"), info(sys.FAN_EVENT_INFO_TYPE_NEW_DFID_NAME, 4, "herey\x00")))
	f.Add(whole(info(sys.FAN_EVENT_INFO_TYPE_DFID_NAME, 1<<31, "here")))
	f.Add(whole(info(9, 0, "")))
	f.Add(append(whole(), whole(entry)...))
	f.Add([]byte("short"))
	a, rest, err := cutAct(whole(entry, info(sys.FAN_EVENT_INFO_TYPE_FID, 4, "that")))
	want := act{mask: sys.FAN_CREATE, pid: 7, at: place{"filesyst\x01\x00\x00\x00here", "Name"}, target: "filesyst\x01\x00\x00\x00that"}
	if err != nil || len(rest) != 0 || a != want {
		f.Fatalf("%+v, %d bytes left, %v", a, len(rest), err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			a, rest, err := cutAct(b)
			if err != nil {
				return
			}
			size := len(a.at.dir) + len(a.at.name) + len(a.to.dir) + len(a.to.name) + len(a.target)
			if len(rest)+sys.FanotifyMetadataBytes+size > len(b) {
				t.Fatalf("%d bytes of handles and names, and %d left of %d", size, len(rest), len(b))
			}
			for _, h := range []handle{a.at.dir, a.to.dir, a.target} {
				if h != "" && len(h.fsid()) != fsidBytes {
					t.Fatalf("a handle %q", h)
				}
			}
			b = rest
		}
	})
}
