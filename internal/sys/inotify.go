package sys

import "golang.org/x/sys/unix"

// What inotify tells of the entries of a directory, and of the directory itself; man 7 inotify.
const (
	IN_ACCESS        = unix.IN_ACCESS
	IN_MODIFY        = unix.IN_MODIFY
	IN_ATTRIB        = unix.IN_ATTRIB
	IN_CLOSE_WRITE   = unix.IN_CLOSE_WRITE
	IN_CLOSE_NOWRITE = unix.IN_CLOSE_NOWRITE
	IN_OPEN          = unix.IN_OPEN
	IN_MOVED_FROM    = unix.IN_MOVED_FROM
	IN_MOVED_TO      = unix.IN_MOVED_TO
	IN_CREATE        = unix.IN_CREATE
	IN_DELETE        = unix.IN_DELETE
	IN_DELETE_SELF   = unix.IN_DELETE_SELF
	IN_MOVE_SELF     = unix.IN_MOVE_SELF
	IN_UNMOUNT       = unix.IN_UNMOUNT
	IN_Q_OVERFLOW    = unix.IN_Q_OVERFLOW
	IN_IGNORED       = unix.IN_IGNORED
	IN_ISDIR         = unix.IN_ISDIR
	IN_ONLYDIR       = unix.IN_ONLYDIR
	IN_EXCL_UNLINK   = unix.IN_EXCL_UNLINK
)

// InotifyEventBytes is the size of struct inotify_event without its name, <sys/inotify.h>.
const InotifyEventBytes = unix.SizeofInotifyEvent

// Inotify makes an inotify instance that does not block.
func Inotify() (int, error) { return unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK) }

// InotifyAdd watches a path, or changes what a watch of the same inode asks for.
func InotifyAdd(fd int, path string, mask uint32) (wd int, err error) {
	return unix.InotifyAddWatch(fd, path, mask)
}

// InotifyRemove ends a watch.
func InotifyRemove(fd, wd int) error {
	_, err := unix.InotifyRmWatch(fd, uint32(wd))
	return err
}
