package filewatch

import (
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// take follows what the kernel tells.
func (w *Watcher) take(b []byte) {
	for len(b) > 0 {
		r, rest, err := cutRecord(b)
		if err != nil {
			panic("aem: internal error: " + err.Error()) // man 7 inotify: a read returns whole records
		}
		w.follow(r)
		b = rest
	}
}

// simple are the records that are told as they come.
var simple = []struct {
	mask uint32
	ops  Op
}{
	{sys.IN_ACCESS, In},
	{sys.IN_MODIFY, Out},
	{sys.IN_OPEN, Open},
	{sys.IN_CLOSE_NOWRITE, Close},
	{sys.IN_CLOSE_WRITE, Close | Written},
}

func (t *tree) follow(r record) {
	if r.mask&sys.IN_Q_OVERFLOW != 0 {
		t.rescan()
		return
	}
	d := t.dirs[r.wd]
	switch {
	case d == nil: // it was left while this was on its way
	case r.mask&(sys.IN_IGNORED|sys.IN_DELETE_SELF|sys.IN_UNMOUNT|sys.IN_MOVE_SELF) != 0:
		t.lost(d, r.mask)
	case r.name == "": // of the directory itself
	case r.mask&sys.IN_CREATE != 0:
		t.created(d, r.name, r.mask&sys.IN_ISDIR != 0)
	case r.mask&sys.IN_DELETE != 0:
		t.removed(d, r.name, r.mask&sys.IN_ISDIR != 0, false)
	case r.mask&sys.IN_MOVED_FROM != 0:
		e, ok := d.entries[r.name]
		if !ok && r.mask&sys.IN_ISDIR != 0 {
			e.mode = syscall.S_IFDIR
		}
		delete(d.entries, r.name)
		t.moves[r.cookie] = move{d, r.name, e, time.Now()}
	case r.mask&sys.IN_MOVED_TO != 0:
		t.moved(d, r)
	case r.mask&sys.IN_ATTRIB != 0:
		t.changed(d, r.name)
	default:
		t.told(d, r)
	}
}

func (t *tree) told(d *dir, r record) {
	for _, s := range simple {
		if r.mask&s.mask == 0 {
			continue
		}
		if s.ops&Written != 0 { // so that reading the directory again does not tell of it once more
			if e, ok := look(d.path, r.name); ok {
				d.entries[r.name] = e
			}
		}
		t.tell(d, r.name, s.ops, Change{Dir: r.mask&sys.IN_ISDIR != 0})
	}
}

// created takes in an entry that a record tells of. One that is known was found by reading the directory.
func (t *tree) created(d *dir, name string, isDir bool) {
	t.settle(d, name)
	if _, known := d.entries[name]; known {
		return
	}
	e, ok := look(d.path, name)
	if !ok && isDir {
		e.mode = syscall.S_IFDIR // it is gone again: its removal comes
	}
	d.entries[name] = e
	t.tell(d, name, Create, Change{Dir: isDir})
	t.enter(d, name, e)
}

// enter goes on into an entry, if it is a directory that is covered, or what a view has waited for.
func (t *tree) enter(d *dir, name string, e entry) {
	path := filepath.Join(d.path, name)
	if !e.isDir() {
		return
	}
	if len(t.covering(path)) > 0 {
		t.cover(path, nil)
	}
	for _, v := range d.views {
		if v.name == name { // a file was waited for, and this is a directory
			t.restart(v)
		}
	}
}

// removed takes an entry out.
func (t *tree) removed(d *dir, name string, isDir, found bool) {
	e, known := d.entries[name]
	delete(d.entries, name)
	if known {
		isDir = e.isDir()
	}
	if isDir {
		t.leave(filepath.Join(d.path, name))
	}
	t.tell(d, name, Remove, Change{Dir: isDir, Found: found})
}

// moved is the second half of a rename, or an entry that came from where nobody watches.
func (t *tree) moved(d *dir, r record) {
	from, ok := t.moves[r.cookie]
	delete(t.moves, r.cookie)
	t.settle(d, r.name)
	e, there := look(d.path, r.name)
	if !there {
		if e = from.entry; !ok && r.mask&sys.IN_ISDIR != 0 {
			e.mode = syscall.S_IFDIR
		}
	}
	was, known := d.entries[r.name]
	d.entries[r.name] = e
	if !ok {
		if known && was.inode == e.inode {
			return // it was found by reading the directory
		}
		t.tell(d, r.name, arrival(e), Change{Dir: e.isDir()})
		t.enter(d, r.name, e)
		return
	}
	t.renamed(from, d, r.name, e)
}

func (t *tree) renamed(from move, d *dir, name string, e entry) {
	for _, v := range t.views {
		ops, c := v.renamed(from.from.path, from.name, d.path, name, e)
		each(ops, c, t.emit)
	}
	if e.isDir() {
		t.retarget(filepath.Join(from.from.path, from.name), filepath.Join(d.path, name))
		t.enter(d, name, e)
	}
}

// retarget gives the directories below old their new paths. Who covers them now may not have before: they are filled
// anew for those.
func (t *tree) retarget(old, path string) {
	for _, d := range t.known() {
		if d.path != old && !below(d.path, old) {
			continue
		}
		at := path + d.path[len(old):]
		if now := t.covering(at); len(now) == 0 || !same(now, d.views) {
			t.forget(d) // enter takes it in again, if somebody covers it
			continue
		}
		delete(t.paths, d.path)
		d.path, t.paths[at] = at, d
	}
}

func same(a, b []*view) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// changed looks which of its attributes an entry has changed.
func (t *tree) changed(d *dir, name string) {
	was, known := d.entries[name]
	is, ok := look(d.path, name)
	if !ok || !known {
		return
	}
	d.entries[name] = is
	t.tell(d, name, was.attributes.difference(is.attributes), Change{Dir: is.isDir()})
}

// difference is what happened between two looks.
func difference(was, is entry) Op {
	ops := was.attributes.difference(is.attributes)
	if was.size != is.size || was.modified != is.modified {
		ops |= Out | Written
	}
	return ops
}

func (was attributes) difference(is attributes) (ops Op) {
	if was.uid != is.uid || was.gid != is.gid {
		ops |= Owner
	}
	if was.mode != is.mode {
		ops |= Mode
	}
	return ops
}

// lost is the end of a directory, or of its path. The one that it was in tells of it, if that is watched; a view that
// begins there waits until it is there again.
func (t *tree) lost(d *dir, mask uint32) {
	for _, v := range t.views {
		if v.root != d.path {
			continue
		}
		if now, _, err := resolve(v.spec.Path); mask&sys.IN_MOVE_SELF == 0 || err != nil || now != d.path {
			t.miss(v, d.path, &os.PathError{Op: "watch", Path: v.spec.Path, Err: syscall.ENOENT})
		}
	}
	if mask&sys.IN_MOVE_SELF == 0 { // the kernel has forgotten it
		t.forget(d)
	}
	t.refresh()
}

// miss notes what a view could not watch. Without its root it begins anew.
func (t *tree) miss(v *view, path string, err error) {
	v.missing[path] = err
	if path == v.root {
		v.root = ""
	}
	if !v.failing {
		v.failing = true
		t.trouble(v.id, err)
	}
	if t.retry.IsZero() {
		t.retry = time.Now().Add(retryWait)
	}
}

// settle ends the move of an entry whose name is taken again: it came nowhere.
func (t *tree) settle(d *dir, name string) {
	for cookie, m := range t.moves {
		if m.from == d && m.name == name {
			t.gone(cookie, m)
		}
	}
}

// gone ends a move that came nowhere.
func (t *tree) gone(cookie uint32, m move) {
	delete(t.moves, cookie)
	t.removed(m.from, m.name, m.isDir(), false)
}

// due ends moves that came nowhere, and tries again what could not be watched.
func (t *tree) due(now time.Time) {
	for cookie, m := range t.moves {
		if now.Sub(m.at) >= moveWait {
			t.gone(cookie, m)
		}
	}
	if t.retry.IsZero() || now.Before(t.retry) {
		return
	}
	t.retry = time.Time{}
	for _, v := range t.views {
		if v.failing {
			t.again(v)
		}
	}
}

func (t *tree) again(v *view) {
	missing := v.missing
	v.missing = map[string]error{}
	if v.root == "" {
		t.restart(v)
	} else {
		for path := range missing {
			t.cover(path, nil)
		}
	}
	if len(v.missing) == 0 {
		v.failing = false
		t.trouble(v.id, nil)
	}
}

// restart begins a view that had begun before: what is there now came since.
func (t *tree) restart(v *view) {
	t.begin(v)
	t.refresh()
	t.appear(v)
}

// appear tells a view of everything that it covers as found.
func (t *tree) appear(v *view) {
	for _, d := range t.known() {
		for name, e := range d.entries {
			if v.covers(d.path) && v.means(d.path, name) {
				each(arrival(e)&v.spec.On, Change{View: v.id, Path: v.shown(d.path, name), Dir: e.isDir(), Found: true}, t.emit)
			}
		}
	}
}

// rescan reads everything again after records were lost, and tells the difference.
func (t *tree) rescan() {
	for _, d := range t.known() {
		if t.dirs[d.wd] == d {
			t.reread(d)
		}
	}
	for _, v := range t.views {
		t.emit(Change{View: v.id, Op: Overflow, Path: v.spec.Path, Dir: v.name == ""})
	}
}

func (t *tree) reread(d *dir) {
	there := map[string]bool{}
	for _, name := range names(d.path) {
		is, ok := look(d.path, name)
		if !ok {
			continue
		}
		there[name] = true
		was, known := d.entries[name]
		if known && was.inode != is.inode {
			t.removed(d, name, was.isDir(), true)
			known = false
		}
		d.entries[name] = is
		if known {
			t.tell(d, name, difference(was, is), Change{Dir: is.isDir(), Found: true})
			continue
		}
		t.tell(d, name, arrival(is), Change{Dir: is.isDir(), Found: true})
		t.enter(d, name, is)
	}
	for name, e := range d.entries {
		if !there[name] {
			t.removed(d, name, e.isDir(), true)
		}
	}
}

// patience is how long the owner may wait.
func (t *tree) patience() time.Duration {
	switch {
	case len(t.moves) > 0:
		return moveWait
	case !t.retry.IsZero():
		return max(0, time.Until(t.retry))
	}
	return time.Hour
}
