package procwatch

import (
	"encoding/binary"
	"errors"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// record is one event of a process, as the connector tells it.
type record struct {
	what   uint32 // sys.PROC_EVENT_*
	time   int64  // by CLOCK_MONOTONIC, in nanoseconds
	pid    int    // the process; of a fork the child
	thread int    // the thread of it; the first one has the number of the process
	parent int    // of a fork
	status uint32 // of an exit, as wait gives it; of the answer to PROC_CN_MCAST_LISTEN an errno
}

var errRecord = errors.New("read process event: it is too short")

// cutRecord reads the first message of b: a netlink header, struct cn_msg, struct proc_event. A fork has the parent
// before the child.
func cutRecord(b []byte) (r record, rest []byte, err error) {
	const head = sys.SizeofNlMsghdr + sys.SizeofCnMsg
	ne := binary.NativeEndian
	if len(b) < sys.SizeofNlMsghdr {
		return r, nil, errRecord
	}
	size := int(ne.Uint32(b))
	if size < head+sys.SizeofProcEvent || size > len(b) {
		return r, nil, errRecord
	}
	rest = b[min(len(b), (size+3)&^3):]
	event := b[head:size]
	word := func(i int) uint32 {
		at := sys.SizeofProcEvent + 4*i
		if at+4 > len(event) {
			err = errRecord
			return 0
		}
		return ne.Uint32(event[at:])
	}
	r.time = int64(ne.Uint64(event[8:])) // behind what and a processor
	switch r.what = ne.Uint32(event); r.what {
	case sys.PROC_EVENT_NONE:
		r.status = word(0)
	case sys.PROC_EVENT_FORK: // parent's thread and process, child's thread and process
		r.parent, r.thread, r.pid = int(word(1)), int(word(2)), int(word(3))
	case sys.PROC_EVENT_EXEC:
		r.thread, r.pid = int(word(0)), int(word(1))
	case sys.PROC_EVENT_EXIT:
		r.thread, r.pid, r.status = int(word(0)), int(word(1)), word(2)
	}
	return r, rest, err
}
