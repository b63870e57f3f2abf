package test

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// journal collects what a program writes and lets tests wait for it.
type journal struct {
	mu    sync.Mutex
	grown *sync.Cond
	text  strings.Builder
	held  bool
}

func newJournal() *journal {
	j := new(journal)
	j.grown = sync.NewCond(&j.mu)
	return j
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	defer j.grown.Broadcast()
	for j.held {
		j.grown.Wait()
	}
	return j.text.Write(p)
}

// hold stops reading what the program writes, until the next call.
func (j *journal) hold(held bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.held = held
	j.grown.Broadcast()
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// last is the end of what was written.
func (j *journal) last(n int) string {
	text := j.String()
	return text[max(0, len(text)-n):]
}

// await waits until a line has all of the words, and returns it.
func (j *journal) await(t *testing.T, words ...string) string {
	t.Helper()
	late := false
	alarm := time.AfterFunc(patience, func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		late = true
		j.grown.Broadcast()
	})
	defer alarm.Stop()
	j.mu.Lock()
	defer j.mu.Unlock()
	for {
		if found := find(j.text.String(), words); len(found) > 0 {
			return found[0]
		}
		if late {
			t.Fatalf("no line with %q", words)
		}
		j.grown.Wait()
	}
}

// lines are the lines so far that have all of the words.
func (j *journal) lines(words ...string) []string { return find(j.String(), words) }

// find returns the whole lines of text that have all of the words.
func find(text string, words []string) []string {
	var found []string
	for line := range strings.Lines(text) {
		missing := false
		for _, word := range words {
			missing = missing || !strings.Contains(line, word)
		}
		if !missing && strings.HasSuffix(line, "\n") {
			found = append(found, strings.TrimSuffix(line, "\n"))
		}
	}
	return found
}

func itoa(n int) string { return strconv.Itoa(n) }
