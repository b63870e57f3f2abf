package audit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// ErrLost says that records came faster than they were read and some are gone. Reading goes on.
var ErrLost = errors.New("audit records were lost")

// Reader reads seccomp records. It belongs to one goroutine.
type Reader struct {
	fd  int
	buf [sys.SizeofNlMsghdr + sys.MAX_AUDIT_MESSAGE_LENGTH]byte
}

// Open starts to listen; records from before are not seen.
func Open() (*Reader, error) {
	fd, err := sys.AuditListen()
	switch {
	case errors.Is(err, syscall.EPERM):
		return nil, errors.New("open audit log: needs CAP_AUDIT_READ in the first user namespace")
	case errors.Is(err, syscall.EPROTONOSUPPORT):
		return nil, errors.New("open audit log: this kernel is built without audit")
	case err != nil:
		return nil, fmt.Errorf("open audit log: %v", err)
	}
	return &Reader{fd: fd}, nil
}

// FD returns the descriptor to poll: readable when Next has something to look at.
func (r *Reader) FD() int { return r.fd }

// Enlarge makes room for so many bytes of records that were not read yet, where the kernel lets us: there is no more reason
// to lose them.
func (r *Reader) Enlarge(bytes int) error { return sys.SetReceiveBuffer(r.fd, bytes) }

// Close stops listening.
func (r *Reader) Close() error { return sys.Close(r.fd) }

// batch is how many records of other kinds Next passes over in one call, so that a busy audit log cannot hold its
// caller: a level-triggered poll brings it back.
const batch = 64

// Next returns the next seccomp record, and false when there is none for now. It never blocks. ErrLost, and the error
// of a record that cannot be read, concern records that are gone: the next call goes on behind them.
func (r *Reader) Next() (Record, bool, error) {
	for range batch {
		n, err := sys.ReceiveMessage(r.fd, r.buf[:])
		switch {
		case errors.Is(err, syscall.EAGAIN):
			return Record{}, false, nil
		case errors.Is(err, syscall.ENOBUFS):
			return Record{}, false, ErrLost
		case err != nil:
			return Record{}, false, fmt.Errorf("read audit log: %v", err)
		case n < sys.SizeofNlMsghdr || binary.NativeEndian.Uint16(r.buf[4:]) != sys.AUDIT_SECCOMP:
			continue
		}
		record, err := parse(string(r.buf[sys.SizeofNlMsghdr:n]))
		return record, err == nil, err
	}
	return Record{}, false, nil
}
