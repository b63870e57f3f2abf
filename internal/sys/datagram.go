package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr, man 2 recvmmsg.
type mmsghdr struct {
	head unix.Msghdr
	n    uint32
	_    [4]byte
}

// Sender is where a datagram came from.
type Sender struct{ addr sockaddr }

// DatagramBatch is how many datagrams one Receive takes.
const DatagramBatch = 64

// Datagrams is room for a batch of datagrams, used again and again.
type Datagrams struct {
	size    int // of the longest that there is room for
	room    []byte
	heads   [DatagramBatch]mmsghdr
	iovecs  [DatagramBatch]unix.Iovec
	senders [DatagramBatch]unix.RawSockaddrAny
}

// NewDatagrams makes room for datagrams of so many bytes. Memory is used for what comes only.
func NewDatagrams(size int) *Datagrams {
	d := &Datagrams{size: size, room: make([]byte, DatagramBatch*size)}
	for i := range d.heads {
		h := &d.heads[i].head
		h.Iov, h.Iovlen, h.Name = &d.iovecs[i], 1, (*byte)(unsafe.Pointer(&d.senders[i]))
		d.iovecs[i].Base = &d.room[i*size]
	}
	return d
}

// Size is the longest datagram that there is room for.
func (d *Datagrams) Size() int { return d.size }

// Receive takes the datagrams that have come, none longer than most, with one call that never waits (man 2 recvmmsg):
// EAGAIN says that there are none. What was there before is gone.
func (d *Datagrams) Receive(fd, most int) (n int, err error) {
	for i := range d.heads {
		d.iovecs[i].SetLen(min(most, d.size))
		d.heads[i].head.Namelen = unix.SizeofSockaddrAny
	}
	for {
		got, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&d.heads[0])), DatagramBatch, unix.MSG_DONTWAIT, 0, 0)
		if errno == 0 {
			return int(got), nil
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// Data is datagram i of the batch, valid until the next Receive; ok is false when it was longer, and so is incomplete.
func (d *Datagrams) Data(i int) (data []byte, ok bool) {
	return d.room[i*d.size:][:d.heads[i].n], d.heads[i].head.Flags&unix.MSG_TRUNC == 0
}

// From fills in where datagram i came from.
func (d *Datagrams) From(i int, s *Sender) {
	s.addr = sockaddr{d.senders[i], d.heads[i].head.Namelen}
}

// Peer is the address for people, and as a key.
func (s *Sender) Peer() Peer { return s.addr.peer() }

// SendTo sends one datagram back to where another came from, man 2 sendto, if that can be done at once.
func SendTo(fd int, data []byte, to *Sender) error {
	for {
		_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(data))), uintptr(len(data)),
			unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, uintptr(unsafe.Pointer(&to.addr.raw)), uintptr(to.addr.size))
		if errno == 0 {
			return nil
		}
		if errno != unix.EINTR {
			return errno
		}
	}
}

// Peek looks at the datagram that comes next, without taking it. It sees nothing of one that is not there.
func Peek(fd int, b []byte) (n int, from Peer) {
	var name sockaddr
	name.size = unix.SizeofSockaddrAny
	got, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
		unix.MSG_DONTWAIT|unix.MSG_PEEK, uintptr(unsafe.Pointer(&name.raw)), uintptr(unsafe.Pointer(&name.size)))
	if errno != 0 {
		return 0, Peer{}
	}
	return int(got), name.peer()
}

// Readable reports whether a descriptor has something to read, man 2 poll.
func Readable(fd int) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(p, 0)
	return err == nil && n > 0 && p[0].Revents&unix.POLLIN != 0
}
