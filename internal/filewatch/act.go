package filewatch

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// handle names a file for as long as it is there: the number of its file system, and the file's handle in that.
type handle string

const fsidBytes = 8

func (h handle) fsid() string { return string(h[:min(len(h), fsidBytes)]) }
func (h handle) file() string { return string(h[fsidBytes:]) }

// place is an entry of a directory; with the name ".", the directory itself.
type place struct {
	dir  handle
	name string
}

// act is one record of fanotify: struct fanotify_event_metadata and what follows it, <linux/fanotify.h>.
type act struct {
	mask   uint64 // may have several bits: the kernel joins what a process does to an entry
	pid    int    // who did it; 0: in another pid namespace
	at, to place  // to: of a rename, which was at
	target handle // the entry itself
}

var errAct = errors.New("read fanotify: a record is cut off")

// cutAct splits the first record off what was read.
func cutAct(b []byte) (a act, rest []byte, err error) {
	if len(b) < sys.FanotifyMetadataBytes {
		return a, nil, errAct
	}
	ne := binary.NativeEndian
	size, begin := uint64(ne.Uint32(b)), uint64(ne.Uint16(b[6:]))
	if b[4] != sys.FanotifyMetadataVersion || begin < sys.FanotifyMetadataBytes || size < begin || size > uint64(len(b)) {
		return a, nil, errAct
	}
	a.mask, a.pid = ne.Uint64(b[8:]), int(int32(ne.Uint32(b[20:])))
	for info := b[begin:size]; len(info) > 0; {
		const header = 4 // struct fanotify_event_info_header: type, padding, length
		if len(info) < header {
			return a, nil, errAct
		}
		n := int(ne.Uint16(info[2:]))
		if n < header || n > len(info) || !a.add(info[0], info[header:n]) {
			return a, nil, errAct
		}
		info = info[n:]
	}
	return a, b[size:], nil
}

// add takes what is said in addition: struct fanotify_event_info_fid without its header. It reports false if that is cut off.
func (a *act) add(kind byte, b []byte) bool {
	var at *place
	switch kind {
	case sys.FAN_EVENT_INFO_TYPE_FID:
	case sys.FAN_EVENT_INFO_TYPE_DFID_NAME, sys.FAN_EVENT_INFO_TYPE_OLD_DFID_NAME:
		at = &a.at
	case sys.FAN_EVENT_INFO_TYPE_NEW_DFID_NAME:
		at = &a.to
	default:
		return true
	}
	const fixed = fsidBytes + 8 // fsid, and struct file_handle without the handle: its size and its type
	if len(b) < fixed {
		return false
	}
	n := uint64(binary.NativeEndian.Uint32(b[fsidBytes:]))
	if n > uint64(len(b)-fixed) {
		return false
	}
	h := handle(b[:fsidBytes]) + handle(b[fsidBytes+4:fixed+n])
	if at == nil {
		a.target = h
		return true
	}
	name, _, ended := bytes.Cut(b[fixed+n:], []byte{0})
	*at = place{h, string(name)}
	return ended && len(name) > 0
}
