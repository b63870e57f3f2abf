package filewatch

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/aem-exec/aem-exec/internal/owner"
	"github.com/aem-exec/aem-exec/internal/sys"
)

const (
	bufferBytes = 64 << 10               // of records, about 2000; each of the buffers
	buffers     = 4                      // read ahead of the owner; when all are full, the kernel keeps what comes
	moveWait    = 20 * time.Millisecond  // until an entry that was moved away and came nowhere counts as removed
	retryWait   = 500 * time.Millisecond // until a directory that could not be watched is tried again; for ever
	closeWait   = time.Second            // for an owner that a dead file system holds; then it is left to itself
)

// Watcher watches directories for any number of views, with one inotify instance. Its methods may be called from
// anywhere and wait for nothing, but Close.
type Watcher struct {
	*owner.Owner[Change]
	file *os.File      // the inotify instance
	bell chan struct{} // has room for one: something was asked

	full, free chan []byte
	stop, done chan struct{}

	tree
}

// New makes a watcher and starts it. It calls report, from a goroutine of its own, with changes that are the callee's
// until it returns; until then nothing else is reported. It calls trouble with why a view is not, or in part not, watched, and
// nil when that is over.
func New(report func([]Change), trouble func(view uint64, err error)) (*Watcher, error) {
	fd, err := sys.Inotify()
	if err != nil {
		return nil, fmt.Errorf("make inotify instance (fs.inotify.max_user_instances): %w", err)
	}
	w := &Watcher{
		file: os.NewFile(uintptr(fd), "inotify"), bell: make(chan struct{}, 1),
		full: make(chan []byte, buffers), free: make(chan []byte, buffers),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	w.Owner = owner.New(w.ring, report)
	w.tree.init(fd, w.Tell, trouble)
	for range buffers {
		w.free <- make([]byte, bufferBytes)
	}
	go w.read()
	go w.own()
	return w, nil
}

// Watch begins a view. What it cannot watch it reports as trouble, and tries again.
func (w *Watcher) Watch(id uint64, s Spec) { w.Ask(func() { w.begin(&view{id: id, spec: s}) }) }

// Unwatch ends a view. Changes that are on their way are still reported.
func (w *Watcher) Unwatch(id uint64) { w.Ask(func() { w.end(id) }) }

// List reports every entry of a view once more, as Existing.
func (w *Watcher) List(id uint64) { w.Ask(func() { w.list(id) }) }

// Close ends all views. A report that is being made must return.
func (w *Watcher) Close() {
	close(w.stop)
	w.file.Close()
	select {
	case <-w.done:
	case <-time.After(closeWait):
	}
}

func (w *Watcher) ring() {
	select {
	case w.bell <- struct{}{}:
	default:
	}
}

// read is the reader: it ends when the file is closed.
func (w *Watcher) read() {
	defer close(w.full)
	for b := range w.free {
		n, err := w.file.Read(b[:cap(b)])
		if err != nil {
			if !errors.Is(err, os.ErrClosed) {
				panic("aem: internal error: read inotify: " + err.Error()) // man 7 inotify: nothing that can go wrong by itself
			}
			return
		}
		w.full <- b[:n] // has room for all buffers
	}
}

// own is the owner.
func (w *Watcher) own() {
	defer close(w.done)
	defer w.drain()
	timer := time.NewTimer(retryWait)
	defer timer.Stop()
	for {
		timer.Reset(w.patience())
		select {
		case <-w.stop:
			return
		case <-w.bell:
			w.Obey()
		case b, ok := <-w.full:
			if !ok {
				return
			}
			w.take(b)
			w.free <- b
		case <-timer.C:
		}
		w.due(time.Now())
		w.Flush()
	}
}

// drain lets the reader end.
func (w *Watcher) drain() {
	close(w.free)
	for range w.full {
	}
}
