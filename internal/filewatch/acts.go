package filewatch

import (
	"math/bits"
	"os"
	"path/filepath"
	"syscall"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// wholeStructure is what a file system is marked for in any case: who moves and removes directories changes what paths are.
const wholeStructure = sys.FAN_RENAME | sys.FAN_DELETE | sys.FAN_ONDIR

// wholeMask is what a file system is marked for, for all of the operations.
func (o Op) wholeMask() uint64 {
	m := uint64(wholeStructure)
	for op, records := range masks {
		if o&op != 0 {
			m |= uint64(records &^ structure)
		}
	}
	if o&(Create|Owner|Mode) != 0 {
		m |= sys.FAN_CREATE
	}
	return m
}

// actsMost bounds what is read and not followed: the kernel keeps the rest.
const actsMost = 1 << 15

// read takes from the kernel what it tells, as far as there is room.
func (w *Whole) read() {
	if len(w.acts) >= actsMost {
		return
	}
	n, err := syscall.Read(w.group, w.buffer)
	if err != nil {
		return // there is nothing
	}
	for b := w.buffer[:n]; len(b) > 0; {
		a, rest, err := cutAct(b)
		if err != nil {
			panic("aem: internal error: " + err.Error()) // man 7 fanotify: a read returns whole records
		}
		if w.acts = append(w.acts, a); a.isDir() && a.mask&sys.FAN_DELETE != 0 {
			w.gone[a.target] = a.at
		}
		b = rest
	}
}

// take follows what the kernel tells.
func (w *Whole) take() {
	w.read()
	for i := 0; i < len(w.acts); i++ { // to follow one may take reading more
		w.follow(w.acts[i])
	}
	clear(w.acts)
	clear(w.gone)
	w.acts = w.acts[:0]
	for _, vol := range w.volumes {
		vol.leave()
		if vol.lost {
			vol.lost = false
			w.overflow(vol)
		}
	}
}

// overflow tells the views of a volume that something is lost.
func (w *Whole) overflow(vol *volume) {
	for _, v := range vol.views {
		w.Tell(Change{View: v.id, Op: Overflow, Path: v.spec.Path, Dir: v.name == ""})
	}
}

// self is who does not tell of himself.
var self = os.Getpid()

func (w *Whole) follow(a act) {
	for _, vol := range w.volumes {
		switch {
		case a.mask&sys.FAN_Q_OVERFLOW != 0:
			vol.lost = true
		case vol.fsid != a.at.dir.fsid():
		case a.mask&sys.FAN_RENAME != 0:
			w.renamed(vol, a)
		case a.pid != self || a.mask&(sys.FAN_CREATE|sys.FAN_ATTRIB) != 0:
			w.happened(vol, a)
		}
	}
	if a.mask&sys.FAN_DELETE != 0 {
		delete(w.known, a.target)
	}
}

// happened follows what was done to one entry.
func (w *Whole) happened(vol *volume, a act) {
	at := w.where(vol, a.at.dir)
	vol.lost = vol.lost || at.lost
	dir, name := at.path, a.at.name
	if dir == "" || dir == "/" && name == "." { // not below anything
		return
	}
	if name == "." {
		dir, name, a.target = filepath.Dir(dir), filepath.Base(dir), a.at.dir
	}
	if a.isDir() && a.mask&sys.FAN_CREATE != 0 {
		vol.learn(a.target, whereabouts{path: filepath.Join(dir, name)})
		vol.arrived(dir, name)
	}
	views := vol.meant(dir, name)
	if len(views) == 0 {
		return
	}
	ops, merged := a.simple(), bits.OnesCount64(a.mask&^sys.FAN_ONDIR) > 1
	if a.mask&(sys.FAN_ATTRIB|sys.FAN_CREATE) != 0 {
		changes, sure := w.changed(vol, a)
		ops, merged = ops|changes, merged || !sure
	}
	if a.pid == self {
		return
	}
	for _, v := range views {
		each(ops&v.spec.On, Change{View: v.id, Path: v.shown(dir, name), Dir: a.isDir(), PID: a.pid, Merged: merged}, w.Tell)
	}
}

func (a act) isDir() bool { return a.mask&sys.FAN_ONDIR != 0 }

// simple is what is told as it comes.
func (a act) simple() (ops Op) {
	for _, s := range simple {
		if a.mask&uint64(s.mask) != 0 {
			ops |= s.ops
		}
	}
	if a.mask&sys.FAN_CREATE != 0 {
		ops |= Create
	}
	if a.mask&sys.FAN_DELETE != 0 {
		ops |= Remove
	}
	return ops
}

// renamed follows a rename.
func (w *Whole) renamed(vol *volume, a act) {
	from, to := w.where(vol, a.at.dir), w.where(vol, a.to.dir)
	vol.lost = vol.lost || from.lost || to.lost
	if a.isDir() { // and what is below it
		clear(vol.dirs)
		vol.arrived(to.path, a.to.name)
	}
	if a.pid == self {
		return
	}
	e, there := look(to.path, a.to.name)
	if !there && a.isDir() {
		e.mode = syscall.S_IFDIR
	}
	for _, v := range vol.views {
		ops, c := v.renamed(from.path, a.at.name, to.path, a.to.name, e)
		c.PID = a.pid
		each(ops, c, w.Tell)
	}
}
