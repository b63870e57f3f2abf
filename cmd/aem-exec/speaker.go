package main

import (
	"fmt"
	"io"
	"time"
)

// Bounds of what a running supervisor says beside its log.
const (
	wordsKept = 8           // lines that wait to be printed; more are left out
	lastWords = time.Second // that printing may take at the end
)

// speaker prints lines on a goroutine of its own: whoever reads our standard error may have stopped reading, and that
// must not keep a signal from being obeyed.
type speaker struct {
	words chan string
	done  chan struct{}
}

func newSpeaker(w io.Writer) *speaker {
	s := &speaker{words: make(chan string, wordsKept), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		for line := range s.words {
			fmt.Fprintln(w, line)
		}
	}()
	return s
}

func (s *speaker) say(format string, args ...any) {
	select {
	case s.words <- fmt.Sprintf(format, args...):
	default:
	}
}

// close waits until everything is printed, for a while. Nothing is said any more.
func (s *speaker) close() {
	close(s.words)
	select {
	case <-s.done:
	case <-time.After(lastWords):
	}
}
