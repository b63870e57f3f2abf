package filewatch

import (
	"path"
	"path/filepath"
	"strings"
)

// Spec is what one view asks for: a plain value.
type Spec struct {
	Path      string // absolute: a directory, or one file, which need not be there yet
	On        Op
	Match     []string // patterns of path.Match for names, or with a slash for paths below Path; none: all
	Recursive bool
	Existing  bool // report what is there at the beginning
	Whole     Extent
}

// Extent is what is watched for the sake of a view.
type Extent string

// Filesystem is all of the file system that a view is on; "" is the directories that it covers.
const Filesystem Extent = "filesystem"

// Change is one thing that happened, for one view.
type Change struct {
	View  uint64
	Op    Op
	Path  string // of the entry, beginning with the view's own Path
	Old   string // of Rename: where it was
	Dir   bool   // it is a directory
	Found bool   // told from reading a directory and not from a record: it happened before

	// What Whole tells in addition.
	PID    int  // who did it; 0: in another pid namespace
	Merged bool // the kernel told it with other operations, or may mean another: they are told in the order of Op
}

// each tells several operations.
func each(ops Op, c Change, emit func(Change)) {
	for op := Create; op <= ops; op <<= 1 {
		if ops&op != 0 {
			c.Op = op
			emit(c)
		}
	}
}

// view is one Spec that is being watched. It belongs to the owner.
type view struct {
	id      uint64
	spec    Spec
	root    string           // the directory, without symbolic links; "" while there is none
	name    string           // the one entry in root that is meant; "" means all
	missing map[string]error // directories that could not be watched
	failing bool             // that was told
	begun   bool             // what is found from now on came since the beginning
}

// covers reports whether the view wants to know of the entries of a directory.
func (v *view) covers(dir string) bool {
	return v.root == dir || v.root != "" && v.spec.Recursive && v.name == "" && below(dir, v.root)
}

// below reports whether path p is inside of dir.
func below(p, dir string) bool {
	return strings.HasPrefix(p, dir) && (dir == "/" || len(p) > len(dir) && p[len(dir)] == '/')
}

// means reports whether an entry is among those that the view asks for.
func (v *view) means(dir, name string) bool {
	if v.name != "" {
		return name == v.name
	}
	if len(v.spec.Match) == 0 {
		return true
	}
	rel := strings.TrimPrefix(strings.TrimPrefix(filepath.Join(dir, name), v.root), "/")
	for _, pattern := range v.spec.Match {
		subject := name
		if strings.Contains(pattern, "/") {
			subject = rel
		}
		if ok, _ := path.Match(pattern, subject); ok { // patterns were checked
			return true
		}
	}
	return false
}

// shown is a path as the view's user knows it.
func (v *view) shown(dir, name string) string {
	if v.name != "" {
		return v.spec.Path
	}
	return filepath.Join(v.spec.Path, strings.TrimPrefix(filepath.Join(dir, name), v.root))
}

// renamed is what it is to the view that an entry has another name: a rename, a coming, a going, or nothing.
func (v *view) renamed(from, old, to, name string, e entry) (ops Op, c Change) {
	was, is := v.covers(from) && v.means(from, old), v.covers(to) && v.means(to, name)
	c = Change{View: v.id, Dir: e.isDir()}
	switch {
	case was && is:
		c.Old, c.Path, ops = v.shown(from, old), v.shown(to, name), Rename
	case is:
		c.Path, ops = v.shown(to, name), arrival(e)
	case was:
		c.Path, ops = v.shown(from, old), Remove
	}
	return ops & v.spec.On, c
}
