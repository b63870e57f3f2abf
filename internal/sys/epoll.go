package sys

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Conditions of a descriptor, man 2 epoll_ctl.
const (
	EPOLLIN    = unix.EPOLLIN
	EPOLLOUT   = unix.EPOLLOUT
	EPOLLPRI   = unix.EPOLLPRI
	EPOLLERR   = unix.EPOLLERR
	EPOLLHUP   = unix.EPOLLHUP
	EPOLLRDHUP = unix.EPOLLRDHUP
)

// EpollEvent is struct epoll_event, linux/eventpoll.h: what is ready, and the user data it was added with.
type EpollEvent unix.EpollEvent

// Data is what EpollAdd was given.
func (e *EpollEvent) Data() uint64 { return uint64(uint32(e.Pad))<<32 | uint64(uint32(e.Fd)) }

// EpollCreate makes an empty epoll instance, man 2 epoll_create1.
func EpollCreate() (int, error) { return unix.EpollCreate1(unix.EPOLL_CLOEXEC) }

// EpollAdd watches fd for events, level-triggered; data comes back with each of them.
func EpollAdd(epfd, fd int, events uint32, data uint64) error {
	return epollCtl(epfd, unix.EPOLL_CTL_ADD, fd, events, data)
}

// EpollChange watches fd, which is watched, for other events.
func EpollChange(epfd, fd int, events uint32, data uint64) error {
	return epollCtl(epfd, unix.EPOLL_CTL_MOD, fd, events, data)
}

func epollCtl(epfd, op, fd int, events uint32, data uint64) error {
	e := unix.EpollEvent{Events: events, Fd: int32(uint32(data)), Pad: int32(uint32(data >> 32))}
	return unix.EpollCtl(epfd, op, fd, &e)
}

// EpollDel stops watching fd. An empty set of events would not do: EPOLLHUP and EPOLLERR cannot be masked.
func EpollDel(epfd, fd int) error { return unix.EpollCtl(epfd, unix.EPOLL_CTL_DEL, fd, nil) }

// EpollWait waits until a watched descriptor is ready or timeout is over, for ever when it is negative; to the
// nanosecond, man 2 epoll_pwait2 (Linux 5.11). An interrupted wait returns no events.
func EpollWait(epfd int, events []EpollEvent, timeout time.Duration) (int, error) {
	var limit *unix.Timespec
	if timeout >= 0 {
		ts := unix.NsecToTimespec(timeout.Nanoseconds())
		limit = &ts
	}
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(epfd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)),
		uintptr(unsafe.Pointer(limit)), 0, 0)
	switch errno {
	case 0:
		return int(n), nil
	case unix.EINTR:
		return 0, nil
	}
	return 0, errno
}

// EpollWaitHere is EpollWait for a short time, of which the Go runtime is not told: the thread keeps its P while it sleeps.
// What needs all Ps, as the collector does, ends the wait by a signal: EINTR.
func EpollWaitHere(epfd int, events []EpollEvent, timeout time.Duration) (int, error) {
	limit := unix.NsecToTimespec(timeout.Nanoseconds())
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(epfd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)),
		uintptr(unsafe.Pointer(&limit)), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
