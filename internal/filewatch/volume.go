package filewatch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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

// begin takes a view in.
func (w *Whole) begin(v *view) {
	w.take() // what happened before is not for it
	w.views = append(w.views, v)
	w.settle()
}

// end lets a view go.
func (w *Whole) end(id uint64) {
	w.views = slices.DeleteFunc(w.views, func(v *view) bool { return v.id == id })
	w.settle()
}

// settle finds out where each view is, and has the kernel tell what they want and no more: after one came or went, or mounts
// changed. Where one cannot be watched, it is tried again.
func (w *Whole) settle() {
	before := w.volumes
	w.volumes = nil
	for _, v := range w.views {
		err := w.place(v, before)
		if (err != nil) != v.failing {
			v.failing = err != nil
			w.trouble(v.id, err)
		}
		if err != nil && w.retry.IsZero() {
			w.retry = time.Now().Add(retryWait)
		}
	}
	w.unmark(before)
	if !w.wantAttributes() {
		clear(w.known)
		w.unread = nil
	}
}

// place finds the volume of a view, or makes it, and marks it. One that was there before is kept, without what it knew: the
// mounts may have changed.
func (w *Whole) place(v *view, before []*volume) error {
	root, name, err := resolve(v.spec.Path)
	if err != nil {
		return err
	}
	at, err := volumeAt(root)
	if err != nil {
		return err
	}
	same := func(o *volume) bool { return o.fsid == at.fsid && o.mount == at.mount }
	if i := slices.IndexFunc(w.volumes, same); i >= 0 {
		at = w.volumes[i]
	}
	mask := v.spec.On.wholeMask()
	if err := mark(w.group, root, mask); err != nil { // also if it is marked: it may have been unmounted since
		return err
	}
	w.marks[at.fsid] |= mask
	v.root, v.name = root, name
	if at.views = append(at.views, v); len(at.views) == 1 {
		w.volumes = append(w.volumes, at)
	}
	if i := slices.IndexFunc(before, same); v.spec.On&(Owner|Mode) != 0 && (i < 0 || !slices.Contains(before[i].views, v)) {
		w.unread = append(w.unread, unread{root, at})
	}
	return nil
}

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

// mark has a group told more of a file system.
func mark(group int, dir string, mask uint64) error {
	if err := sys.FanotifyAdd(group, dir, mask); err != nil {
		return reason(dir, err)
	}
	return nil
}

// reason says what is behind an error.
func reason(dir string, err error) error {
	why := ""
	switch {
	case errors.Is(err, syscall.EPERM):
		why = ": it needs CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH"
	case errors.Is(err, syscall.ENOSPC):
		why = " (fs.fanotify.max_user_marks)"
	case unsuited(err):
		why = ": it has no lasting names for its files, or no number of its own"
	}
	return fmt.Errorf("watch the file system of %s: %w%s", dir, err, why)
}

// unsuited reports whether an error is of the file system itself, as of most that overlay others.
func unsuited(err error) bool {
	return slices.ContainsFunc([]error{syscall.EOPNOTSUPP, syscall.ENODEV, syscall.EXDEV, syscall.ESTALE},
		func(e error) bool { return errors.Is(err, e) })
}

// CheckWhole reports why this host cannot tell of the file system at a path. A path that is not there is not judged.
func CheckWhole(path string) error {
	group, err := openGroup()
	if err != nil {
		return err
	}
	defer sys.Close(group)
	root, _, err := resolve(path)
	if err != nil {
		root = "/"
	}
	_, no := volumeAt(root)
	if no == nil {
		no = mark(group, root, wholeStructure)
	}
	if err != nil && unsuited(no) {
		return nil
	}
	return no
}

// ProbeWhole reports why this host cannot tell of any.
func ProbeWhole() error {
	if err := CheckWhole("/"); !unsuited(err) {
		return err
	}
	return nil
}

// unmark takes back what nobody wants any more.
func (w *Whole) unmark(before []*volume) {
	if len(w.volumes) == 0 {
		sys.FanotifyFlush(w.group) //nolint:errcheck // of no mark, too
		clear(w.marks)
		return
	}
	wanted := map[string]uint64{}
	for _, vol := range w.volumes {
		for _, v := range vol.views {
			wanted[vol.fsid] |= v.spec.On.wholeMask()
		}
	}
	for _, vol := range slices.Concat(before, w.volumes) {
		surplus := w.marks[vol.fsid] &^ wanted[vol.fsid]
		if now, err := sys.FSID(vol.top); surplus != 0 && err == nil && string(now[:]) == vol.fsid { // else it was unmounted, and its mark is gone
			sys.FanotifyRemove(w.group, vol.top, surplus) //nolint:errcheck // as said
		}
	}
	w.marks = wanted
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
