package filewatch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// tree is what the owner knows: views, and the directories that they cover.
type tree struct {
	fd   int
	emit func(Change)

	trouble func(view uint64, err error) // err is why a view is not, or in part not, watched; nil is the end of that

	views []*view
	dirs  map[int]*dir    // by watch descriptor
	paths map[string]*dir // the same, by path
	moves map[uint32]move // by cookie: entries that were moved away and came nowhere yet
	retry time.Time       // when what could not be watched is tried again; zero: all is watched
}

// dir is one watched directory and what is known to be in it.
type dir struct {
	path    string
	wd      int
	asked   uint32
	views   []*view // that cover it
	entries map[string]entry
}

// move is the first half of a rename.
type move struct {
	from *dir
	name string
	entry
	at time.Time
}

// entry is what was last seen of a file.
type entry struct {
	inode          uint64
	size, modified int64
	attributes
}

// attributes are its owner and permissions: of changes the kernel does not say which it was.
type attributes struct{ mode, uid, gid uint32 }

func (e entry) isDir() bool   { return e.mode&syscall.S_IFMT == syscall.S_IFDIR }
func (e entry) regular() bool { return e.mode&syscall.S_IFMT == syscall.S_IFREG }

// look looks at a file without following it if it is a symbolic link.
func look(dir, name string) (e entry, ok bool) {
	var s syscall.Stat_t
	if err := syscall.Lstat(filepath.Join(dir, name), &s); err != nil {
		return e, false // it is gone by now
	}
	return entry{s.Ino, s.Size, s.Mtim.Nano(), attributes{s.Mode, s.Uid, s.Gid}}, true
}

func (t *tree) init(fd int, emit func(Change), trouble func(view uint64, err error)) {
	t.fd, t.emit, t.trouble = fd, emit, trouble
	t.dirs, t.paths, t.moves = map[int]*dir{}, map[string]*dir{}, map[uint32]move{}
}

// begin takes a view in, or tries again to.
func (t *tree) begin(v *view) {
	if !slices.Contains(t.views, v) {
		v.missing = map[string]error{}
		t.views = append(t.views, v)
	}
	root, name, err := resolve(v.spec.Path)
	if err != nil {
		t.miss(v, v.root, err)
		v.begun = true
		return
	}
	v.root, v.name = root, name
	t.cover(root, v)
	v.begun = true
}

// resolve finds the directory to watch for a path, and the name in it that is meant: a path that is no directory, or not
// there, is watched in the directory that it is in.
func resolve(path string) (root, name string, err error) {
	if root, err = filepath.EvalSymlinks(path); err == nil {
		if info, err := os.Stat(root); err == nil && info.IsDir() {
			return root, "", nil
		}
	}
	root, err = filepath.EvalSymlinks(filepath.Dir(path))
	return root, filepath.Base(path), err
}

// end lets a view go.
func (t *tree) end(id uint64) {
	t.views = slices.DeleteFunc(t.views, func(v *view) bool { return v.id == id })
	t.refresh()
}

// refresh finds out who covers each directory, after a view has moved. What nobody covers is forgotten.
func (t *tree) refresh() {
	for _, d := range t.known() {
		if d.views = t.covering(d.path); len(d.views) == 0 {
			t.forget(d)
		} else {
			t.watch(d.path) //nolint:errcheck // it is watched already, for as much or more
		}
	}
}

// known are the directories, parents before what is in them.
func (t *tree) known() []*dir {
	all := make([]*dir, 0, len(t.dirs))
	for _, d := range t.dirs {
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b *dir) int { return len(a.path) - len(b.path) })
	return all
}

func (t *tree) covering(path string) (views []*view) {
	for _, v := range t.views {
		if v.covers(path) {
			views = append(views, v)
		}
	}
	return views
}

// list reports what there is, as Existing.
func (t *tree) list(id uint64) {
	for _, d := range t.known() {
		for _, v := range d.views {
			if v.id == id {
				t.existing(v, d)
			}
		}
	}
}

func (t *tree) existing(v *view, d *dir) {
	names := make([]string, 0, len(d.entries))
	for name := range d.entries {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if v.means(d.path, name) {
			t.emit(Change{View: v.id, Op: Existing, Path: v.shown(d.path, name), Dir: d.entries[name].isDir()})
		}
	}
}

// cover watches a directory and, for views that want it, what is below it. With a view, that view begins; without one,
// the directory is new, and what is found in it is told to everybody who covers it.
func (t *tree) cover(path string, beginning *view) {
	for todo := []string{path}; len(todo) > 0; {
		path, todo = todo[len(todo)-1], todo[:len(todo)-1]
		d, fresh, err := t.watch(path)
		switch {
		case (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)) && path != beginning.begins():
			continue // it is gone again; the directory that it was in tells that
		case err != nil:
			for _, v := range t.covering(path) {
				t.miss(v, path, err)
			}
			continue
		}
		if fresh {
			t.fill(d, beginning == nil)
		}
		if beginning != nil && beginning.spec.Existing && !beginning.begun {
			t.existing(beginning, d)
		}
		for name, e := range d.entries {
			if below := filepath.Join(path, name); e.isDir() && len(t.covering(below)) > 0 {
				todo = append(todo, below)
			}
		}
	}
}

// begins is the path that a view begins with, "" without a view.
func (v *view) begins() string {
	if v == nil {
		return ""
	}
	return v.root
}

// watch asks the kernel for what the views that cover a directory want of it.
func (t *tree) watch(path string) (d *dir, fresh bool, err error) {
	views, mask := t.covering(path), Op(0).mask()
	for _, v := range views {
		mask |= v.spec.On.mask()
	}
	d = t.paths[path]
	if d != nil && d.asked == mask {
		d.views = views
		return d, false, nil
	}
	wd, err := sys.InotifyAdd(t.fd, path, mask)
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return nil, false, fmt.Errorf("watch %s: no watch is left (fs.inotify.max_user_watches)", path)
	case err != nil:
		return nil, false, &os.PathError{Op: "watch", Path: path, Err: err}
	}
	if other := t.dirs[wd]; other != nil && other.path != path {
		return nil, false, fmt.Errorf("watch %s: it is %s, which is watched already", path, other.path)
	}
	if d = t.dirs[wd]; d == nil {
		d, fresh = &dir{path: path, wd: wd, entries: map[string]entry{}}, true
		t.dirs[wd], t.paths[path] = d, d
	}
	d.asked, d.views = mask, views
	return d, fresh, nil
}

// fill reads what is in a directory that was not watched before.
func (t *tree) fill(d *dir, found bool) {
	for _, name := range names(d.path) {
		e, ok := look(d.path, name)
		if !ok {
			continue
		}
		d.entries[name] = e
		if found {
			t.tell(d, name, arrival(e), Change{Dir: e.isDir(), Found: true})
		}
	}
}

// names reads a directory; one that is gone is empty.
func names(path string) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	names, _ := f.Readdirnames(-1) // of one that is being removed, as much as there is
	slices.Sort(names)
	return names
}

// arrival is what it is that an entry is there now: a file is as it was written.
func arrival(e entry) Op {
	if e.regular() {
		return Create | Written
	}
	return Create
}

// tell reports operations on an entry to who wants them; the rest of the change is given.
func (t *tree) tell(d *dir, name string, ops Op, c Change) {
	for _, v := range d.views {
		if wanted := ops & v.spec.On; wanted != 0 && v.means(d.path, name) {
			c.View, c.Path = v.id, v.shown(d.path, name)
			each(wanted, c, t.emit)
		}
	}
}

// leave forgets a directory and what is below it.
func (t *tree) leave(path string) {
	d := t.paths[path]
	if d == nil {
		return
	}
	for name, e := range d.entries {
		if e.isDir() {
			t.leave(filepath.Join(path, name))
		}
	}
	t.forget(d)
}

func (t *tree) forget(d *dir) {
	sys.InotifyRemove(t.fd, d.wd) //nolint:errcheck // a directory that is gone took its watch along
	delete(t.dirs, d.wd)
	delete(t.paths, d.path)
}
