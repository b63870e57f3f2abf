package source

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/filewatch"
)

var fileType = Type{
	Name: "file",
	Facts: []Field{
		{"path", aem.FactText, "of the entry, below `path` of the event's declaration"},
		{"name", aem.FactText, "the last element of it"},
		{"op", aem.FactText, "what happened: a word of `on`, or `existing` or `overflow`"},
		{"old", aem.FactText, "with `rename`: the path before"},
		{"dir", aem.FactNumber, "1 if it is a directory, else 0"},
		{"found", aem.FactNumber, "1 if it was found by reading the directory: it happened before, and may be told twice; else 0"},
		{"lost", aem.FactNumber, "with `overflow`: how many arrivals are lost, 0 where the kernel does not tell"},
		{"pid", aem.FactNumber, "with `whole`: the process that acted, which may be over by now; 0 if it is in another pid namespace, and without `whole`"},
		{"merged", aem.FactNumber, "with `whole`: 1 if the kernel told of several operations in one record, or calls them the same, else 0. They come in the order in which `on` lists them, and may have happened in another, and more than once"},
	},
	Kernel: "inotify (man 7 inotify): fs.inotify.max_user_watches directories in all; with `whole`, fanotify (man 7 fanotify, Linux 5.17): fs.fanotify.max_queued_events. Neither tells of locks",
	Linux:  "2.6.13",
	Parts:  []Part{{"whole", filewatch.ProbeWhole}},
	Open:   func(e Env) Source { return newFiles(e) },
	Merge:  mergeLines, Merged: mergedLines,
}

// File asks for an event for each thing that happens to an entry of a directory, or to one file.
type File struct {
	Path      string // absolute
	On        filewatch.Op
	Match     []string // patterns of path.Match
	Recursive bool
	Existing  bool // and for each entry that is there at the start
	Whole     filewatch.Extent
}

// Type is "file".
func (File) Type() string { return "file" }

// FileOn is what is told where the file does not say: files that are complete, gone or renamed.
const FileOn = filewatch.Written | filewatch.Remove | filewatch.Rename

func (f File) check() error {
	if !filepath.IsAbs(f.Path) {
		return fmt.Errorf("path %q: want an absolute path", f.Path)
	}
	if f.On == 0 {
		return errors.New("on: want at least one operation")
	}
	for _, pattern := range f.Match {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("match %q: %w", pattern, err)
		}
	}
	switch {
	case f.Whole == "":
	case f.Whole != filewatch.Filesystem:
		return fmt.Errorf("whole %q: want %s", f.Whole, filewatch.Filesystem)
	case f.Recursive || f.Existing:
		return errors.New("recursive and existing are not for whole: it tells of all below path, and of nothing that was there before")
	}
	return nil
}

// CheckHost reports why this host cannot tell of it.
func (f File) CheckHost() error {
	if f.Whole == "" {
		return nil
	}
	return filewatch.ProbeWhole()
}

// CheckPlace reports why nothing can be told of the file system.
func (f File) CheckPlace() error {
	if f.Whole == "" {
		return nil
	}
	return filewatch.CheckWhole(f.Path)
}

// files is the source of type file.
type files struct {
	watching[filewatch.Change]
	watchers map[filewatch.Extent]fileWatcher // each from the first start on that wants it
}

// fileWatcher is what tells of files, in one of two ways.
type fileWatcher interface {
	Watch(view uint64, s filewatch.Spec)
	Unwatch(view uint64)
	Close()
}

func newFiles(e Env) *files {
	s := &files{watchers: map[filewatch.Extent]fileWatcher{}}
	s.watching = newWatching(e, func(c filewatch.Change) uint64 { return c.View }, s.found)
	return s
}

func (s *files) Start(id aem.JobID, spec Spec) error {
	f := spec.(File)
	w, err := s.watcher(f.Whole)
	if err == nil {
		w.Watch(s.begin(id, spec), filewatch.Spec(f))
	}
	return err
}

func (s *files) watcher(whole filewatch.Extent) (w fileWatcher, err error) {
	if w, ok := s.watchers[whole]; ok {
		return w, nil
	}
	if whole == filewatch.Filesystem {
		w, err = filewatch.NewWhole(s.report, s.trouble)
	} else {
		w, err = filewatch.New(s.report, s.trouble)
	}
	if err == nil {
		s.watchers[whole] = w
	}
	return w, err
}

func (s *files) Stop(id aem.JobID) {
	if j := s.jobs[id]; j != nil {
		view, _ := s.end(id)
		s.watchers[j.spec.(File).Whole].Unwatch(view)
	}
}

func (s *files) Close() {
	close(s.closed)
	for _, w := range s.watchers {
		w.Close()
	}
}

// found detects a change. A job that has lost some is told the number and, if that is known, what there is.
func (s *files) found(j *entry[filewatch.Change], c filewatch.Change, lost int64) {
	if lost > 0 {
		c.Op = filewatch.Overflow
		if w, knows := s.watchers[j.spec.(File).Whole].(*filewatch.Watcher); knows {
			w.List(s.numbers[j.id])
		}
	}
	e := s.env.Sink.NewEvent("file")
	e.Facts = []aem.Fact{
		{Name: "path", Value: c.Path}, {Name: "name", Value: filepath.Base(c.Path)}, {Name: "op", Value: c.Op.String()},
		{Name: "old", Value: c.Old}, aem.NumberFact("dir", number(c.Dir)), aem.NumberFact("found", number(c.Found)),
		aem.NumberFact("lost", lost), aem.NumberFact("pid", int64(c.PID)), aem.NumberFact("merged", number(c.Merged)),
	}
	if c.Op == filewatch.Overflow {
		e.Lost = lostOf(lost)
	}
	s.env.Sink.Detected(j.id, e)
}

// lostOf is what aem.Event.Lost says of so many, where the kernel may not tell.
func lostOf(n int64) int64 {
	if n == 0 {
		return -1
	}
	return n
}

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
