package executor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// Bounds of what handlers write.
const (
	lineBytes      = 8 << 10  // a longer line is cut; the rest of it is counted
	linesPerSecond = 1000     // of one agent slot and stream; the rest is counted and told
	tailBytes      = 4 << 10  // of stderr, kept for the report of a failure
	chunkBytes     = 16 << 10 // read at once
	scribeBatch    = 64       // streams served between two waits
	pipeBytes      = 64 << 10 // what a pipe holds, man 7 pipe
)

// Scribe reads what handlers write on a thread of its own and logs it line by line, so that a handler that fills its
// standard output keeps nobody waiting.
type Scribe struct {
	log     *slog.Logger
	passes  bool // what is written goes to our own standard output and error
	epfd    int
	stop    int // eventfd
	done    chan struct{}
	mu      sync.Mutex // guards streams; taken before a stream's own
	streams map[uint64]*Stream
	next    uint64
}

// Stream is one output of one agent slot: a pipe whose writing end each process of the slot inherits. Its identity is
// the pipe's, so no line is put down to another handler. One that is our own is closed from the beginning.
type Stream struct {
	scribe *Scribe
	id     uint64
	read   int
	Write  int // the end that processes inherit

	labels []slog.Attr // of every line

	mu     sync.Mutex // guards what follows
	name   string     // of the registration whose event runs; "" between events
	event  aem.EventID
	line   []byte // the unfinished line
	tail   []byte // the last of what was read, for a report
	cut    int    // bytes left out of the unfinished line
	second int64  // the second that lines counts
	lines  int
	lost   int
	closed bool
}

// NewScribe starts to read; with passes there is nothing to read: handlers have our own standard output and error.
func NewScribe(log *slog.Logger, passes bool) (*Scribe, error) {
	epfd, err := sys.EpollCreate()
	if err != nil {
		return nil, fmt.Errorf("make scribe: %w", err)
	}
	stop, err := sys.Eventfd()
	if err == nil {
		err = sys.EpollAdd(epfd, stop, sys.EPOLLIN, 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make scribe: %w", err), sys.Close(epfd))
	}
	s := &Scribe{log: log, passes: passes, epfd: epfd, stop: stop, done: make(chan struct{}), streams: map[uint64]*Stream{}}
	go s.run()
	return s, nil
}

// Close ends the reading; streams are closed by their owners before.
func (s *Scribe) Close() {
	sys.EventfdAdd(s.stop) //nolint:errcheck // its counter cannot be full
	<-s.done
	sys.Close(s.stop)
	sys.Close(s.epfd)
}

func (s *Scribe) run() {
	defer close(s.done)
	var batch [scribeBatch]sys.EpollEvent
	var scratch [chunkBytes]byte
	for {
		n, err := sys.EpollWait(s.epfd, batch[:], -1)
		if err != nil {
			panic("aem: internal error: wait for output: " + err.Error())
		}
		for i := range n {
			id := batch[i].Data()
			if id == 0 {
				return
			}
			s.mu.Lock()
			stream := s.streams[id]
			s.mu.Unlock()
			if stream != nil {
				stream.mu.Lock()
				stream.readChunk(scratch[:])
				stream.mu.Unlock()
			}
		}
	}
}

// NewStream makes what is descriptor fd, 1 or 2, of processes: a pipe that is read until it is closed, or our own.
func (s *Scribe) NewStream(fd int, labels ...slog.Attr) (*Stream, error) {
	if s.passes {
		return &Stream{Write: fd, closed: true}, nil
	}
	read, write, err := sys.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make output pipe: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	stream := &Stream{scribe: s, id: s.next, read: read, Write: write, labels: labels}
	if err := sys.EpollAdd(s.epfd, read, sys.EPOLLIN, stream.id); err != nil {
		sys.Close(read)
		sys.Close(write)
		return nil, fmt.Errorf("watch output pipe: %w", err)
	}
	s.streams[stream.id] = stream
	return stream, nil
}

// Follow puts the lines from here on down to an event, and forgets the tail. For what is followed already it does
// nothing: a process that was made for it may have written by now. Two registrations may share an event.
func (t *Stream) Follow(name string, event aem.EventID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.event == event && t.name == name {
		return
	}
	t.flush()     // the event before ended without a newline
	t.newSecond() // what was lost of it is told with its name, but not for each event
	t.name, t.event = name, event
	t.tail = t.tail[:0]
}

// Drain reads what is in the pipe by now, at most what a pipe holds, and returns the tail: what a process that has
// ended wrote last.
func (t *Stream) Drain() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var scratch [chunkBytes]byte
	for range pipeBytes / chunkBytes {
		if !t.readChunk(scratch[:]) {
			break
		}
	}
	t.flush()
	return string(bytes.TrimSpace(t.tail))
}

// Renew logs what is in the pipe by now, and forgets it and whose it was: the next process comes.
func (t *Stream) Renew() {
	t.Drain()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tellLost()
	t.name, t.event, t.tail = "", 0, t.tail[:0]
}

// Close ends the stream; what is in the pipe is still logged.
func (t *Stream) Close() {
	if t.scribe == nil {
		return
	}
	t.Drain()
	t.scribe.mu.Lock()
	defer t.scribe.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tellLost()
	delete(t.scribe.streams, t.id)
	t.closed = true
	sys.EpollDel(t.scribe.epfd, t.read) //nolint:errcheck // closing it forgets it too
	sys.Close(t.read)
	sys.Close(t.Write)
}

// readChunk takes what one read gives, and reports whether there was anything.
func (t *Stream) readChunk(scratch []byte) bool {
	if t.closed {
		return false
	}
	n, err := sys.Read(t.read, scratch)
	if n <= 0 || err != nil {
		return false
	}
	chunk := scratch[:n]
	t.keepTail(chunk)
	for {
		line, rest, whole := bytes.Cut(chunk, []byte{'\n'})
		t.add(line)
		if !whole {
			return true
		}
		t.flush()
		chunk = rest
	}
}

func (t *Stream) keepTail(chunk []byte) {
	chunk = chunk[max(0, len(chunk)-tailBytes):]
	t.tail = append(t.tail[max(0, min(len(t.tail), len(t.tail)+len(chunk)-tailBytes)):], chunk...)
}

func (t *Stream) add(part []byte) {
	room := min(len(part), lineBytes-len(t.line))
	t.line = append(t.line, part[:room]...)
	t.cut += len(part) - room
}

// flush logs the line, unless the stream has had its share of this second.
func (t *Stream) flush() {
	if len(t.line) == 0 && t.cut == 0 {
		return
	}
	line, cut := string(t.line), t.cut
	t.line, t.cut = t.line[:0], 0
	t.newSecond()
	if t.lines++; t.lines > linesPerSecond {
		t.lost++
		return
	}
	if cut > 0 {
		t.write(slog.LevelInfo, line, slog.Int("cut_bytes", cut))
	} else {
		t.write(slog.LevelInfo, line)
	}
}

// newSecond gives the stream its share anew when the second is over.
func (t *Stream) newSecond() {
	if now := time.Now().Unix(); now != t.second {
		t.tellLost()
		t.second, t.lines = now, 0
	}
}

func (t *Stream) tellLost() {
	if t.lost > 0 {
		t.write(slog.LevelWarn, "lines lost: more than the share of a second", slog.Int("lines", t.lost))
		t.lost = 0
	}
}

func (t *Stream) write(level slog.Level, line string, more ...slog.Attr) {
	labels := t.labels[:len(t.labels):len(t.labels)]
	if t.name != "" {
		labels = append(labels, slog.String("event", t.name), slog.String("id", t.event.String()))
	}
	t.scribe.log.LogAttrs(context.Background(), level, line, append(labels, more...)...)
}
