package sys

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// What fanotify tells of entries; man 2 fanotify_mark. What inotify tells too has inotify's bits.
const (
	FAN_ATTRIB     = unix.FAN_ATTRIB
	FAN_CREATE     = unix.FAN_CREATE
	FAN_DELETE     = unix.FAN_DELETE
	FAN_RENAME     = unix.FAN_RENAME // Linux 5.17
	FAN_Q_OVERFLOW = unix.FAN_Q_OVERFLOW
	FAN_ONDIR      = unix.FAN_ONDIR
)

// What follows struct fanotify_event_metadata, man 7 fanotify.
const (
	FAN_EVENT_INFO_TYPE_FID           = unix.FAN_EVENT_INFO_TYPE_FID
	FAN_EVENT_INFO_TYPE_DFID_NAME     = unix.FAN_EVENT_INFO_TYPE_DFID_NAME
	FAN_EVENT_INFO_TYPE_OLD_DFID_NAME = unix.FAN_EVENT_INFO_TYPE_OLD_DFID_NAME
	FAN_EVENT_INFO_TYPE_NEW_DFID_NAME = unix.FAN_EVENT_INFO_TYPE_NEW_DFID_NAME
)

// FanotifyMetadataBytes is the size of struct fanotify_event_metadata, and FanotifyMetadataVersion its version.
const (
	FanotifyMetadataBytes   = unix.FAN_EVENT_METADATA_LEN
	FanotifyMetadataVersion = unix.FANOTIFY_METADATA_VERSION
)

// Fanotify makes a group that does not block. It tells of an entry by the handle of its directory, its name there, and its own
// handle (man 2 fanotify_init, Linux 5.17).
func Fanotify() (int, error) {
	return unix.FanotifyInit(unix.FAN_CLASS_NOTIF|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK|unix.FAN_REPORT_DFID_NAME_TARGET, unix.O_RDONLY)
}

// FanotifyAdd has a group told more of the file system that a path is on.
func FanotifyAdd(fd int, path string, mask uint64) error {
	return unix.FanotifyMark(fd, unix.FAN_MARK_ADD|unix.FAN_MARK_FILESYSTEM, mask, unix.AT_FDCWD, path)
}

// FanotifyRemove has it told less; with nothing left, the mark is gone.
func FanotifyRemove(fd int, path string, mask uint64) error {
	return unix.FanotifyMark(fd, unix.FAN_MARK_REMOVE|unix.FAN_MARK_FILESYSTEM, mask, unix.AT_FDCWD, path)
}

// FanotifyFlush has it told nothing of any file system.
func FanotifyFlush(fd int) error {
	return unix.FanotifyMark(fd, unix.FAN_MARK_FLUSH|unix.FAN_MARK_FILESYSTEM, 0, unix.AT_FDCWD, "/")
}

// FSID is the number of the file system that a path is on, as statfs and fanotify have it.
func FSID(path string) (id [8]byte, err error) {
	var s unix.Statfs_t
	if err = unix.Statfs(path, &s); err != nil {
		return id, err
	}
	binary.NativeEndian.PutUint32(id[:], uint32(s.Fsid.Val[0]))
	binary.NativeEndian.PutUint32(id[4:], uint32(s.Fsid.Val[1]))
	return id, nil
}

// HandleOf names what is at a path, which is not followed if it is a symbolic link, for as long as it is there: the type of
// the handle, in four bytes, and the handle (man 2 name_to_handle_at). Mount is the mount that the path leads over.
func HandleOf(path string) (handle []byte, mount int, err error) {
	h, mount, err := unix.NameToHandleAt(unix.AT_FDCWD, path, 0)
	if err != nil {
		return nil, 0, err
	}
	return append(binary.NativeEndian.AppendUint32(nil, uint32(h.Type())), h.Bytes()...), mount, nil
}

// OpenHandle opens what a handle names as a place, with O_PATH, by a descriptor of anything on its mount. ESTALE: it is gone.
func OpenHandle(mount int, handle string) (fd int, err error) {
	return unix.OpenByHandleAt(mount, unix.NewFileHandle(int32(binary.NativeEndian.Uint32([]byte(handle))), []byte(handle[4:])), unix.O_PATH|unix.O_CLOEXEC)
}
