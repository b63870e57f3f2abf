package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"sync"
	"time"

	"github.com/aem-exec/aem-exec/aem"
)

// lastRuns keeps until when calendar jobs have seen what fell due, in a file, so that the next run knows what it missed.
// The loop changes it; a goroutine of its own writes it, each time whole, and again while it changes.
type lastRuns struct {
	s    *Supervisor
	file string // "": nothing outlives the run
	log  *slog.Logger
	bell chan struct{}
	done chan struct{}

	mu    sync.Mutex // guards what follows
	last  map[string]time.Time
	dirty bool
}

// openRuns reads what earlier runs left in file.
func openRuns(s *Supervisor, file string) (*lastRuns, error) {
	r := &lastRuns{s: s, file: file, log: s.log, bell: make(chan struct{}, 1), done: make(chan struct{}), last: map[string]time.Time{}}
	if file != "" {
		text, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(text, &r.last)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("open last runs: %s: %w", file, err)
		}
	}
	go func() {
		defer close(r.done)
		for range r.bell {
			r.write()
		}
		r.write()
	}()
	return r, nil
}

// name is what a job is remembered by; "" is one that a program registered and will register anew.
func (r *lastRuns) name(id aem.JobID) string {
	return nameOf(r.s.jobs.registration(r.s.jobs.get(id)))
}

func nameOf(reg *registration) string {
	if !reg.lasting {
		return ""
	}
	return reg.app.spec.Name + "/" + reg.spec.Name + ":" + reg.handler
}

// forget forgets the job of a registration, which is gone from the file.
func (r *lastRuns) forget(reg *registration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.last, nameOf(reg))
}

// Last is until when a job has seen what fell due.
func (r *lastRuns) Last(id aem.JobID) (at time.Time, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok = r.last[r.name(id)]
	return at, ok
}

// Ran notes that it has seen it until a time.
func (r *lastRuns) Ran(id aem.JobID, at time.Time) {
	name := r.name(id)
	if name == "" || r.file == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last[name], r.dirty = at, true
	select {
	case r.bell <- struct{}{}:
	default: // it is rung already
	}
}

// write puts all of it into the file, whole or not at all.
func (r *lastRuns) write() {
	r.mu.Lock()
	dirty, last := r.dirty, maps.Clone(r.last) // the loop waits for no more than that
	r.dirty = false
	r.mu.Unlock()
	if !dirty {
		return
	}
	text, err := json.MarshalIndent(last, "", "  ")
	if err == nil {
		err = replaceFile(r.file, text)
	}
	if err != nil {
		r.log.Error("last runs are not kept", "err", err)
	}
}

// replaceFile writes a file so that it is the old one or the new one, whenever the machine stops.
func replaceFile(name string, text []byte) error {
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// forgetOthers forgets jobs that are in no file any more. It is called before the loop begins.
func (r *lastRuns) forgetOthers() {
	known := map[string]bool{}
	for id := range r.s.jobs.all() {
		known[r.name(id)] = true
	}
	for name := range r.last {
		if !known[name] {
			delete(r.last, name)
		}
	}
}

// close writes what is not written. The loop has ended.
func (r *lastRuns) close() {
	close(r.bell)
	<-r.done
}
