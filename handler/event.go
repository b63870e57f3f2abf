package handler

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/directcopy"
)

// Event is one event. It and its Data are valid until the function that got it returns.
type Event struct {
	ID       aem.EventID
	Job      aem.JobID
	App      string
	Name     string // of the event in its app
	Type     string
	Attempt  int // 1 is the first
	Count    int // arrivals in it
	Priority aem.Priority
	Time     time.Time // when it was detected
	Data     []byte

	// Interrupted is for a destructor, see Around: "" when the function returned, else how the process ended that had the
	// event, in the word that the log has for it, as "signal", "exit", "timeout" or "oom".
	Interrupted string

	raw   directcopy.Event
	conn  net.Conn
	reply []byte
}

// fill makes e the event raw. Names that are the same as the last time are not copied again.
func (e *Event) fill(raw directcopy.Event) {
	e.raw, e.conn, e.reply = raw, nil, e.reply[:0]
	e.ID, e.Job = aem.EventID(raw.ID), aem.JobID(raw.Job)
	for _, name := range [...]struct {
		to   *string
		fact string
	}{{&e.App, "app"}, {&e.Name, "event"}, {&e.Type, "type"}} {
		if v, _ := raw.Fact(name.fact); *name.to != string(v) {
			*name.to = string(v)
		}
	}
	e.Attempt, e.Count, e.Priority = int(raw.Attempt), int(raw.Count), aem.Priority(raw.Priority)
	e.Time, e.Data = time.Unix(0, raw.Time), raw.Data
	if e.Interrupted = ""; raw.Interrupted {
		e.Interrupted = cmp.Or(e.Fact("interrupted"), "unknown")
	}
}

// Fact is the value of a fact, "" when the event has no such fact. Every event has app, event, handler and type; the
// others are those of its type, as peer or topic.
func (e *Event) Fact(name string) string {
	v, _ := e.raw.Fact(name)
	return string(v)
}

// Conn is the connection that came with the event. Run closes it after the function returned.
func (e *Event) Conn() (net.Conn, error) {
	if e.conn != nil {
		return e.conn, nil
	}
	if e.raw.FD < 0 {
		return nil, errors.New("get connection: the event has none")
	}
	f := os.NewFile(uintptr(e.raw.FD), "connection")
	e.raw.FD = -1
	defer f.Close() // the connection is a copy
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	e.conn = c
	return c, nil
}

// File is the socket that came with the event, for what is no connection: net.FileListener and net.FilePacketConn make
// something of that of a socket.ready. It is the caller's, who closes it.
func (e *Event) File() (*os.File, error) {
	if e.raw.FD < 0 {
		return nil, errors.New("get socket: the event has none")
	}
	f := os.NewFile(uintptr(e.raw.FD), "socket")
	e.raw.FD = -1
	return f, nil
}

// MaxReply is the longest reply, in bytes.
const MaxReply = directcopy.MaxReply

// Reply answers the event with data, which goes to whoever can take it: the peer of a connection, the sender of a
// datagram, or a publisher that waits. It is a copy, sent when the function returned nil; the last call wins, and an error has no reply.
func (e *Event) Reply(data []byte) error {
	if len(data) > MaxReply {
		return fmt.Errorf("reply: %d bytes, at most %d are allowed", len(data), MaxReply)
	}
	e.reply = append(e.reply[:0], data...)
	return nil
}

// end takes back what was valid until the function returned.
func (e *Event) end() {
	if e.conn != nil {
		e.conn.Close() // again, if the function did
	}
	if e.raw.FD >= 0 {
		syscall.Close(e.raw.FD)
	}
	e.raw, e.conn, e.Data = directcopy.Event{FD: -1}, nil, nil
}
