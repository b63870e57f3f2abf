package filewatch

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/aem-exec/aem-exec/internal/owner"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// Whole watches whole file systems for any number of views, with one group of fanotify. It tells who did what, and needs no
// watch for each directory; it is for root. Its methods may be called from anywhere and wait for nothing, but Close.
type Whole struct {
	*owner.Loop[Change]
	trouble func(view uint64, err error)
	group   int // of fanotify
	mounts  int // the table of mounts, which says when it changes

	// The goroutine's.
	views   []*view
	volumes []*volume
	marks   map[string]uint64 // what the group is told, by the file system's number
	acts    []act             // that were read and not followed
	gone    map[handle]place  // directories whose removal is among those
	buffer  []byte
	known   map[handle]attributes
	unread  []unread  // directories that are to be read for that
	retry   time.Time // when views that fail begin again; zero: none does
}

// What a descriptor is known by.
const (
	actsData = iota
	mountsData
)

// NewWhole makes a watcher and starts it. What it is given is what New is.
func NewWhole(report func([]Change), trouble func(view uint64, err error)) (*Whole, error) {
	w := &Whole{Loop: owner.NewLoop(report), trouble: trouble, group: -1, mounts: -1, marks: map[string]uint64{},
		gone: map[handle]place{}, buffer: make([]byte, bufferBytes), known: map[handle]attributes{}}
	if err := w.open(); err != nil {
		w.close()
		return nil, err
	}
	go w.run()
	return w, nil
}

func (w *Whole) open() (err error) {
	if w.group, err = openGroup(); err != nil {
		return err
	}
	if w.mounts, err = syscall.Open("/proc/self/mountinfo", syscall.O_RDONLY|syscall.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("open table of mounts: %w", err)
	}
	if err = w.Open(); err != nil {
		return err
	}
	return errors.Join(w.Poll(w.group, sys.EPOLLIN, actsData), w.Poll(w.mounts, sys.EPOLLPRI, mountsData)) // man 5 proc_pid_mounts
}

// openGroup makes a group of fanotify.
func openGroup() (int, error) {
	fd, err := sys.Fanotify()
	switch {
	case errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENOSYS):
		return -1, fmt.Errorf("make group of fanotify: %w: the kernel has it not, or is older than 5.17", err)
	case errors.Is(err, syscall.EMFILE):
		return -1, fmt.Errorf("make group of fanotify (fs.fanotify.max_user_groups): %w", err)
	case err != nil:
		return -1, fmt.Errorf("make group of fanotify: %w", err)
	}
	return fd, nil
}

func (w *Whole) close() {
	for _, fd := range []int{w.mounts, w.group} {
		if fd >= 0 {
			sys.Close(fd)
		}
	}
	w.End()
}

// Watch begins a view of all that is below its path on the file system there. What it cannot watch it reports as trouble, and
// tries again.
func (w *Whole) Watch(id uint64, s Spec) {
	s.Recursive = true
	w.Ask(func() { w.begin(&view{id: id, spec: s}) })
}

// Unwatch ends a view. Changes that are on their way are still reported.
func (w *Whole) Unwatch(id uint64) { w.Ask(func() { w.end(id) }) }

// Close ends all views. A report that is being made must return.
func (w *Whole) Close() {
	select {
	case <-w.Stop():
	case <-time.After(closeWait):
	}
}

// run is the goroutine.
func (w *Whole) run() {
	defer w.close()
	for w.Turn(w.patience(), w.ready) {
		w.due(time.Now())
		w.Flush()
	}
}

func (w *Whole) ready(data uint64) {
	if data == actsData {
		w.take()
	} else {
		w.remount()
	}
}

// patience is how long nothing is due: negative, for ever.
func (w *Whole) patience() time.Duration {
	switch {
	case len(w.unread) > 0:
		return 0
	case w.retry.IsZero():
		return -1
	}
	return max(0, time.Until(w.retry))
}

// due does what has waited for its time.
func (w *Whole) due(now time.Time) {
	w.readNext()
	if !w.retry.IsZero() && !now.Before(w.retry) {
		w.again()
	}
}
