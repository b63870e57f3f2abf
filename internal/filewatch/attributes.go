package filewatch

import (
	"path/filepath"
	"slices"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// knownMost is how many entries' owners and permissions are remembered. Of one beyond that, the first change may be of either.
const knownMost = 1 << 18

// unread is a directory whose entries are not known yet.
type unread struct {
	path string
	vol  *volume
}

// wantAttributes reports whether a view asks for changes of them.
func (w *Whole) wantAttributes() bool {
	return slices.ContainsFunc(w.views, func(v *view) bool { return v.spec.On&(Owner|Mode) != 0 })
}

func (w *Whole) remember(h handle, is attributes) {
	if _, ok := w.known[h]; ok || len(w.known) < knownMost {
		w.known[h] = is
	}
}

// changed finds out which of its attributes an entry has changed. It reports false if that may have been both, in whatever
// order, or none: where the entry was not known before, or is gone now.
func (w *Whole) changed(vol *volume, a act) (ops Op, sure bool) {
	if !w.wantAttributes() {
		return 0, true
	}
	is, there := vol.attributes(a.target)
	was, known := w.known[a.target]
	if there {
		w.remember(a.target, is)
	}
	switch {
	case a.mask&sys.FAN_ATTRIB == 0:
		return 0, true
	case !known || !there:
		return Owner | Mode, false
	}
	ops = was.difference(is)
	return ops, ops != Owner|Mode
}

// readNext reads one of the directories that are to be read, so that the kernel is heard in between.
func (w *Whole) readNext() {
	if len(w.unread) == 0 || len(w.known) >= knownMost {
		w.unread = nil
		return
	}
	last := len(w.unread) - 1
	next := w.unread[last]
	w.unread = w.unread[:last]
	for _, name := range names(next.path) {
		path := filepath.Join(next.path, name)
		e, ok := look(next.path, name)
		h, mount, err := sys.HandleOf(path)
		if !ok || err != nil || mount != next.vol.mount {
			continue
		}
		w.remember(handle(next.vol.fsid)+handle(h), e.attributes)
		if e.isDir() {
			w.unread = append(w.unread, unread{path, next.vol})
		}
	}
}
