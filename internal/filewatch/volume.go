package filewatch

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// volume is a file system that is marked, as one mount of it shows its paths.
type volume struct {
	fsid  string
	mount int    // the number of the mount
	top   string // of the directories on the mount, the highest that is below nothing else
	views []*view
	dirs  map[handle]whereabouts
	lost  bool // something is, and that was not told yet
	fd    int  // of top, while acts are followed: for longer, it would keep the file system from being unmounted
}

// whereabouts is where a directory is: at a path; with "", where the mount does not show it. If it is lost, it is gone and nobody
// knows where it was.
type whereabouts struct {
	path string
	lost bool
}

// dirsMost is how many directories a volume remembers. One more, and it begins anew.
const dirsMost = 1 << 14

// volumeAt is the volume that a directory is on.
func volumeAt(dir string) (*volume, error) {
	h, mount, err := sys.HandleOf(dir)
	if err != nil {
		return nil, reason(dir, err)
	}
	fsid, err := sys.FSID(dir)
	if err != nil {
		return nil, reason(dir, err)
	}
	v := &volume{fsid: string(fsid[:]), mount: mount, top: dir, dirs: map[handle]whereabouts{}, fd: -1}
	for v.top != "/" {
		up := filepath.Dir(v.top)
		if _, m, err := sys.HandleOf(up); err != nil || m != mount {
			break
		}
		v.top = up
	}
	if err := v.enter(); err != nil {
		return nil, reason(dir, err)
	}
	defer v.leave()
	fd, err := sys.OpenHandle(v.fd, string(h))
	if err != nil {
		return nil, reason(dir, err)
	}
	sys.Close(fd)
	return v, nil
}

// enter opens the volume, so that directories on it can be found. The kernel tells us that we did, when it is asked to: acts of
// our own are not followed.
func (v *volume) enter() (err error) {
	v.fd, err = syscall.Open(v.top, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	return err
}

func (v *volume) leave() {
	if v.fd >= 0 {
		sys.Close(v.fd)
	}
	v.fd = -1
}

// where is where a directory is, or was when it was removed.
func (w *Whole) where(v *volume, dir handle) whereabouts {
	if at, ok := v.dirs[dir]; ok {
		return at
	}
	if path, err := v.find(dir); err == nil {
		return v.learn(dir, whereabouts{path: path})
	}
	for wait := range lookAgain {
		if last, ok := w.gone[dir]; ok {
			at := w.where(v, last.dir)
			if at.path != "" {
				at.path = filepath.Join(at.path, last.name)
			}
			return v.learn(dir, at)
		}
		time.Sleep(time.Duration(wait) * time.Millisecond)
		w.read() // which tells of its removal
	}
	return v.learn(dir, whereabouts{lost: true})
}

// lookAgain is how often a question is asked of what changes meanwhile: for a removal after 0, 1, 2 milliseconds.
const lookAgain = 3

// learn remembers where a directory is.
func (v *volume) learn(dir handle, at whereabouts) whereabouts {
	if len(v.dirs) >= dirsMost {
		clear(v.dirs)
	}
	v.dirs[dir] = at
	return at
}

// open opens what a handle names as a place. ESTALE: it is gone.
func (v *volume) open(h handle) (fd int, err error) {
	if v.fd < 0 {
		if err := v.enter(); err != nil {
			return -1, err
		}
	}
	return sys.OpenHandle(v.fd, h.file())
}

// attributes looks at what a handle names, wherever it is by now; it reports false when it is gone.
func (v *volume) attributes(h handle) (attributes, bool) {
	fd, err := v.open(h)
	if err != nil {
		return attributes{}, false
	}
	defer sys.Close(fd)
	var s syscall.Stat_t
	err = syscall.Fstat(fd, &s)
	return attributes{s.Mode, s.Uid, s.Gid}, err == nil
}

// find asks the kernel where a directory is now. An error is that it is gone.
func (v *volume) find(dir handle) (string, error) {
	fd, err := v.open(dir)
	if err != nil {
		return "", err
	}
	defer sys.Close(fd)
	var is syscall.Stat_t
	if err := syscall.Fstat(fd, &is); err != nil {
		return "", err
	}
	for range lookAgain { // it may be renamed between the two questions
		path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
		if err != nil {
			return "", err
		}
		var there syscall.Stat_t
		if err := syscall.Lstat(path, &there); err == nil && there.Ino == is.Ino && there.Dev == is.Dev {
			return path, nil
		}
		if strings.HasSuffix(path, " (deleted)") { // man 5 proc_pid_fd
			return "", syscall.ESTALE
		}
	}
	return "", nil // not below what is mounted here, or something else is mounted over it
}

// meant are the views that ask for an entry.
func (v *volume) meant(dir, name string) (views []*view) {
	for _, view := range v.views {
		if view.covers(dir) && view.means(dir, name) {
			views = append(views, view)
		}
	}
	return views
}

// arrived has views that waited for a file, and get a directory, go on in there.
func (v *volume) arrived(dir, name string) {
	for _, view := range v.views {
		if view.root == dir && view.name == name {
			view.root, view.name = filepath.Join(dir, name), ""
		}
	}
}
