package filewatch

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// record is one struct inotify_event of <sys/inotify.h>.
type record struct {
	wd     int
	mask   uint32
	cookie uint32 // joins the two ends of a rename
	name   string // of the entry; "": the directory itself
}

var errRecord = errors.New("read inotify: a record is cut off")

// cutRecord splits the first record off what was read.
func cutRecord(b []byte) (r record, rest []byte, err error) {
	if len(b) < sys.InotifyEventBytes {
		return r, nil, errRecord
	}
	ne := binary.NativeEndian
	size := uint64(ne.Uint32(b[12:]))
	if size > uint64(len(b)-sys.InotifyEventBytes) {
		return r, nil, errRecord
	}
	name, _, _ := bytes.Cut(b[sys.InotifyEventBytes:sys.InotifyEventBytes+int(size)], []byte{0})
	r = record{wd: int(int32(ne.Uint32(b))), mask: ne.Uint32(b[4:]), cookie: ne.Uint32(b[8:]), name: string(name)}
	return r, b[sys.InotifyEventBytes+int(size):], nil
}
