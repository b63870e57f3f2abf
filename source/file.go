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
	Kernel: "inotify (man 7 inotify): fs.inotify.max_user_watches directories in all",
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

// keptFileBytes bounds what is kept for a job that is held: the kernel's queue is everybody's, and is never held for
// one. What comes beyond it is counted; when the job takes again, it is told the number and what there is.
const keptFileBytes = 1 << 20

// files is the source of type file. What the watcher reports, from its own goroutine, is detected on the loop; the
// watcher waits for that.
type files struct {
	env     Env
	watcher *filewatch.Watcher // nil until the first start
	jobs    map[aem.JobID]*fileJob
	views   map[uint64]*fileJob
	last    uint64 // view
	taken   chan struct{}
	closed  chan struct{}
}

// fileJob is one started job.
type fileJob struct {
	id    aem.JobID
	view  uint64
	held  bool
	kept  []filewatch.Change
	bytes int // of what is kept
	lost  int64
}

func newFiles(e Env) *files {
	return &files{env: e, jobs: map[aem.JobID]*fileJob{}, views: map[uint64]*fileJob{},
		taken: make(chan struct{}, 1), closed: make(chan struct{})}
}

func (s *files) Start(id aem.JobID, spec Spec) (err error) {
	if s.watcher == nil {
		if s.watcher, err = filewatch.New(s.report); err != nil {
			return err
		}
	}
	f := spec.(File)
	s.last++
	j := &fileJob{id: id, view: s.last}
	s.jobs[id], s.views[j.view] = j, j
	s.watcher.Watch(j.view, filewatch.Spec(f))
	return nil
}

func (s *files) Stop(id aem.JobID) {
	if j := s.jobs[id]; j != nil {
		s.watcher.Unwatch(j.view)
		delete(s.views, j.view)
		delete(s.jobs, id)
	}
}

func (s *files) Hold(id aem.JobID) {
	if j := s.jobs[id]; j != nil {
		j.held = true
	}
}

// Resume detects what was kept, until the job is held again.
func (s *files) Resume(id aem.JobID) {
	j := s.jobs[id]
	if j == nil {
		return
	}
	j.held = false
	for len(j.kept) > 0 && !j.held && s.jobs[id] == j {
		c := j.kept[0]
		j.bytes -= keptSize(c)
		j.kept = j.kept[1:]
		s.detect(j, c, 0)
	}
	if len(j.kept) > 0 || j.lost == 0 || j.held || s.jobs[id] != j {
		return
	}
	lost := j.lost
	j.kept, j.lost = nil, 0
	s.watcher.List(j.view)
	s.detect(j, filewatch.Change{Op: filewatch.Overflow}, lost)
}

// Kept is how many events wait for a held job.
func (s *files) Kept(id aem.JobID) uint64 {
	if j := s.jobs[id]; j != nil {
		return uint64(len(j.kept)) + uint64(j.lost)
	}
	return 0
}

func (s *files) Close() {
	close(s.closed)
	if s.watcher != nil {
		s.watcher.Close()
	}
}

// report is called by the watcher.
func (s *files) report(batch []filewatch.Change) {
	s.env.Post(func() { s.take(batch) })
	select {
	case <-s.taken:
	case <-s.closed:
	}
}

func (s *files) take(batch []filewatch.Change) {
	select {
	case <-s.closed:
		return // the batch is the watcher's again
	default:
	}
	for _, c := range batch {
		switch j := s.views[c.View]; {
		case j == nil: // it was stopped meanwhile
		case c.Trouble:
			s.env.Sink.Trouble(j.id, c.Err)
		case j.held || len(j.kept) > 0:
			j.keep(c)
		default:
			s.detect(j, c, 0)
		}
	}
	s.taken <- struct{}{}
}

func (j *fileJob) keep(c filewatch.Change) {
	if j.lost > 0 || j.bytes+keptSize(c) > keptFileBytes {
		j.lost++
		return
	}
	j.bytes += keptSize(c)
	j.kept = append(j.kept, c)
}

// keptSize is about what a change takes in memory.
func keptSize(c filewatch.Change) int { return len(c.Path) + len(c.Old) + 96 }

func (s *files) detect(j *fileJob, c filewatch.Change, lost int64) {
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
