package supervisor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
)

// deadLetters keeps the newest failed events with their data: in a folder, a file for each, so that they outlive a
// run, and in memory what is needed to list them. It is written by a goroutine of its own; the loop and the control
// socket's goroutines use it at once.
//
// A file is one line of JSON, the letter, and then the event's data.
type deadLetters struct {
	dir  string // "": in memory only
	keep int
	log  *slog.Logger
	work chan func()
	done chan struct{}

	mu      sync.Mutex // guards what follows
	letters []*letter  // oldest first
	pushed  uint64     // letters that newer ones pushed out
}

// letter is one dead letter.
type letter struct {
	control.Letter
	Connection bool `json:"connection,omitempty"` // its connection is gone: it cannot be replayed
	data       []byte
	written    bool // the data is in the file, and no longer here
}

// deadBacklog is how many letters may wait to be written. A letter beyond it stays in memory only, which is told.
const deadBacklog = 256

// letterName is the ending of a letter's file.
const letterName = ".letter"

// openDead reads what earlier runs left in dir.
func openDead(dir string, keep int, log *slog.Logger) (*deadLetters, error) {
	d := &deadLetters{dir: dir, keep: keep, log: log, work: make(chan func(), deadBacklog), done: make(chan struct{})}
	if dir != "" {
		if err := d.load(); err != nil {
			return nil, fmt.Errorf("open dead letters: %w", err)
		}
	}
	go func() {
		defer close(d.done)
		for f := range d.work {
			f()
		}
	}()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trim()
	return d, nil
}

func (d *deadLetters) load() error {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(d.dir, "*"+letterName))
	if err != nil {
		return err
	}
	for _, file := range files {
		l, _, err := readLetter(file)
		if err != nil {
			d.log.Error("a dead letter cannot be read", "file", file, "err", err)
			continue
		}
		l.written = true
		d.letters = append(d.letters, l)
	}
	slices.SortFunc(d.letters, func(a, b *letter) int { return a.Failed.Compare(b.Failed) })
	return nil
}

func readLetter(file string) (l *letter, data []byte, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	head, data, ok := bytes.Cut(text, []byte{'\n'})
	if !ok {
		return nil, nil, errors.New("no first line")
	}
	l = new(letter)
	if err := json.Unmarshal(head, l); err != nil {
		return nil, nil, err
	}
	if len(data) != l.Size {
		return nil, nil, fmt.Errorf("%d bytes of data, want %d", len(data), l.Size)
	}
	return l, data, nil
}

// add keeps the event of a failed activation.
func (d *deadLetters) add(reg *registration, a *aem.Activation, c *aem.Completion, text string, connection bool) {
	e, data := a.Event, a.Event.Data
	if e.Origin != nil { // which has it back
		data = bytes.Clone(data)
	}
	l := &letter{
		Letter: control.Letter{
			ID: e.ID, Job: reg.name(), Type: e.Type, Time: e.Time, Failed: time.Now(), Reason: c.Reason,
			Attempts: int(a.Attempt), Size: len(e.Data), Failure: text, Of: e.Of,
		},
		Connection: connection, data: data,
	}
	for _, f := range e.Facts {
		l.Facts = append(l.Facts, control.Fact{Name: f.Name, Value: f.Text()})
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.letters = append(d.letters, l)
	d.trim()
	if d.dir == "" {
		return
	}
	select {
	case d.work <- func() { d.write(l) }:
	default:
		d.log.Error("a dead letter is kept in memory only: they come faster than they are written", "id", l.ID, "job", l.Job)
	}
}

// trim pushes out the oldest beyond keep. The lock is held.
func (d *deadLetters) trim() {
	for len(d.letters) > d.keep {
		d.pushed++
		d.log.Warn("a dead letter was pushed out by newer ones", "id", d.letters[0].ID, "job", d.letters[0].Job, "pushed_out", d.pushed)
		d.erase(d.letters[0])
		d.letters = slices.Delete(d.letters, 0, 1)
	}
}

// erase has a letter's file removed. The lock is held.
func (d *deadLetters) erase(l *letter) {
	if d.dir == "" {
		return
	}
	file := d.file(l)
	select {
	case d.work <- func() { os.Remove(file) }: //nolint:errcheck // it may never have been written
	default:
		os.Remove(file) //nolint:errcheck // as above
	}
}

func (d *deadLetters) file(l *letter) string {
	name := l.ID.String() + "." + strings.NewReplacer("/", ".", ":", ".").Replace(l.Job)
	return filepath.Join(d.dir, name+letterName)
}

// write puts a letter into its file, whole or not at all.
func (d *deadLetters) write(l *letter) {
	file := d.file(l)
	head, err := json.Marshal(l)
	if err == nil {
		text := slices.Concat(head, []byte{'\n'}, l.data)
		if err = os.WriteFile(file+".new", text, 0o600); err == nil {
			err = os.Rename(file+".new", file)
		}
	}
	if err != nil {
		d.log.Error("a dead letter is kept in memory only", "id", l.ID, "job", l.Job, "err", err)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Contains(d.letters, l) {
		os.Remove(file) //nolint:errcheck // it was dropped meanwhile
		return
	}
	l.data, l.written = nil, true
}

// match is the letters for which want is true, oldest first.
func (d *deadLetters) match(want func(*letter) bool) []*letter {
	d.mu.Lock()
	defer d.mu.Unlock()
	var found []*letter
	for _, l := range d.letters {
		if want(l) {
			found = append(found, l)
		}
	}
	return found
}

// data is the letter's event's data. It may read a file: not for the loop.
func (d *deadLetters) data(l *letter) ([]byte, error) {
	d.mu.Lock()
	data, written := l.data, l.written
	d.mu.Unlock()
	if !written {
		return data, nil
	}
	_, data, err := readLetter(d.file(l))
	if err != nil {
		return nil, fmt.Errorf("read dead letter %s: %w", l.ID, err)
	}
	return data, nil
}

// drop forgets a letter. It reports false when it was gone already.
func (d *deadLetters) drop(l *letter) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.Index(d.letters, l)
	if i < 0 {
		return false
	}
	d.letters = slices.Delete(d.letters, i, i+1)
	d.erase(l)
	return true
}

// close writes what waits. The loop has ended.
func (d *deadLetters) close() error {
	close(d.work)
	<-d.done
	return nil
}
