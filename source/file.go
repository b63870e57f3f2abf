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
	},
	Kernel: "inotify (man 7 inotify): fs.inotify.max_user_watches directories in all. It tells neither who acted nor of locks",
	Linux:  "2.6.13",
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
	return nil
}

// files is the source of type file.
type files struct {
	watching[filewatch.Change]
	watcher *filewatch.Watcher // nil until the first start
}

func newFiles(e Env) *files {
	s := &files{}
	s.watching = newWatching(e, func(c filewatch.Change) uint64 { return c.View }, s.found)
	return s
}

func (s *files) Start(id aem.JobID, spec Spec) (err error) {
	if s.watcher == nil {
		if s.watcher, err = filewatch.New(s.report, s.trouble); err != nil {
			return err
		}
	}
	s.watcher.Watch(s.begin(id, spec), filewatch.Spec(spec.(File)))
	return nil
}

func (s *files) Stop(id aem.JobID) {
	if view, ok := s.end(id); ok {
		s.watcher.Unwatch(view)
	}
}

func (s *files) Close() {
	close(s.closed)
	if s.watcher != nil {
		s.watcher.Close()
	}
}

// found detects a change. A job that has lost some is told the number, and what there is.
func (s *files) found(j *entry[filewatch.Change], c filewatch.Change, lost int64) {
	if lost > 0 {
		c.Op = filewatch.Overflow
		s.watcher.List(s.numbers[j.id])
	}
	e := s.env.Sink.NewEvent("file")
	e.Facts = []aem.Fact{
		{Name: "path", Value: c.Path}, {Name: "name", Value: filepath.Base(c.Path)}, {Name: "op", Value: c.Op.String()},
		{Name: "old", Value: c.Old}, aem.NumberFact("dir", number(c.Dir)), aem.NumberFact("found", number(c.Found)),
		aem.NumberFact("lost", lost),
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
