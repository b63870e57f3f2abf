package filewatch

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// begin takes a view in.
func (w *Whole) begin(v *view) {
	w.take() // what happened before is not for it
	w.views = append(w.views, v)
	w.place(v, nil)
}

// end lets a view go.
func (w *Whole) end(id uint64) {
	is := func(v *view) bool { return v.id == id }
	w.views = slices.DeleteFunc(w.views, is)
	for _, vol := range w.volumes {
		vol.views = slices.DeleteFunc(vol.views, is)
	}
	w.unmark()
	if !w.wantAttributes() {
		clear(w.known)
		w.unread = nil
	}
}

// remount finds out anew where all views are: the mounts have changed.
func (w *Whole) remount() {
	were := map[*view]*volume{}
	for _, vol := range w.volumes {
		for _, v := range vol.views {
			were[v] = vol
		}
		vol.views = nil
		clear(vol.dirs)
	}
	for _, v := range w.views {
		w.place(v, were[v])
	}
	w.unmark()
}

// again begins views anew that could not be watched.
func (w *Whole) again() {
	w.retry = time.Time{}
	for _, v := range w.views {
		if v.failing {
			w.place(v, nil)
		}
	}
}

// place has a view watched, which was on a volume before, or on none. If that cannot be, it is tried again.
func (w *Whole) place(v *view, was *volume) {
	vol, err := w.mark(v)
	if (err != nil) != v.failing {
		v.failing = err != nil
		w.trouble(v.id, err)
	}
	switch {
	case err != nil:
		if w.retry.IsZero() {
			w.retry = time.Now().Add(retryWait)
		}
	case vol != was && v.spec.On&(Owner|Mode) != 0:
		w.unread = append(w.unread, unread{v.root, vol})
	}
}

// mark finds the volume of a view, or makes it, and has the kernel tell what the view wants.
func (w *Whole) mark(v *view) (*volume, error) {
	root, name, err := resolve(v.spec.Path)
	if err != nil {
		return nil, err
	}
	vol, err := volumeAt(root)
	if err == nil { // also if it is marked: it may have been unmounted since
		err = mark(w.group, root, v.spec.On.wholeMask())
	}
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(w.volumes, func(o *volume) bool { return o.fsid == vol.fsid && o.mount == vol.mount }); i >= 0 {
		w.volumes[i].top = vol.top
		vol = w.volumes[i]
	} else {
		w.volumes = append(w.volumes, vol)
	}
	w.marks[vol.fsid] |= v.spec.On.wholeMask()
	v.root, v.name, vol.views = root, name, append(vol.views, v)
	return vol, nil
}

// unmark takes back what nobody wants any more.
func (w *Whole) unmark() {
	wanted := map[string]uint64{}
	for _, vol := range w.volumes {
		for _, v := range vol.views {
			wanted[vol.fsid] |= v.spec.On.wholeMask()
		}
	}
	for _, vol := range w.volumes {
		surplus := w.marks[vol.fsid] &^ wanted[vol.fsid]
		if surplus == 0 {
			continue
		}
		if now, err := sys.FSID(vol.top); err == nil && string(now[:]) == vol.fsid { // else it was unmounted, and its mark is gone
			sys.FanotifyRemove(w.group, vol.top, surplus) //nolint:errcheck // as said
		}
	}
	w.marks = wanted
	w.volumes = slices.DeleteFunc(w.volumes, func(vol *volume) bool { return len(vol.views) == 0 })
	if len(w.volumes) == 0 {
		sys.FanotifyFlush(w.group) //nolint:errcheck // also of what was hidden by another mount
	}
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

// ProbeWhole reports why this host can tell of no file system. It waits for none.
func ProbeWhole() error {
	group, err := openGroup()
	if err != nil {
		return err
	}
	defer sys.Close(group)
	if err := sys.FanotifyFlush(group); err != nil {
		return reason("/", err)
	}
	if _, err := volumeAt("/"); !unsuited(err) {
		return err
	}
	return nil
}

// CheckWhole reports why it cannot tell of the file system at a path. A path that is not there is not judged.
func CheckWhole(path string) error {
	root, _, missing := resolve(path)
	if missing != nil {
		return nil
	}
	group, err := openGroup()
	if err != nil {
		return err
	}
	defer sys.Close(group)
	if _, err = volumeAt(root); err == nil {
		err = mark(group, root, wholeStructure)
	}
	return err
}
