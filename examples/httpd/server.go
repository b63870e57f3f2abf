package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/aem-exec/aem-exec/aem"
)

// server is what all connections share. Callbacks never overlap, so it has no lock.
type server struct {
	root     *os.Root
	requests map[int64]*request // by connection; only of those that are in the middle of one
}

// request is one that is still being sent.
type request struct {
	method, target string
	close          bool // behind the answer
	body           bool // something would follow it
	lines          int
}

const (
	maxLines     = 100     // of a request's head
	maxFileBytes = 8 << 20 // larger files are not given: they are read in one piece
)

// line is called with each line that comes on a connection.
func (s *server) line(_ context.Context, e *aem.Event) error {
	connection := number(e, "connection")
	line := strings.TrimRight(string(e.Data), "\r\n")
	r := s.requests[connection]
	switch {
	case r == nil && line == "":
		return nil // between two requests; RFC 9112, 2.2
	case r == nil:
		if r = begin(line); r == nil {
			e.Reply(answer(http.StatusBadRequest, "text/plain", nil, true, true))
			e.Hangup()
			return nil
		}
		s.requests[connection] = r
		return nil
	case line != "":
		r.header(line)
		return nil
	}
	delete(s.requests, connection)
	e.Reply(s.answer(r))
	if r.close {
		e.Hangup()
	}
	return nil
}

// gone is called when a connection has ended.
func (s *server) gone(_ context.Context, e *aem.Event) error {
	delete(s.requests, number(e, "connection"))
	return nil
}

func number(e *aem.Event, name string) int64 {
	for _, f := range e.Facts {
		if f.Name == name {
			return f.Number
		}
	}
	return 0
}

// begin reads a request's first line, RFC 9112, 3. It is nil if that is none.
func begin(line string) *request {
	words := strings.Split(line, " ")
	if len(words) != 3 || words[2] != "HTTP/1.1" && words[2] != "HTTP/1.0" || words[0] == "" || !strings.HasPrefix(words[1], "/") {
		return nil
	}
	return &request{method: words[0], target: words[1], close: words[2] == "HTTP/1.0"}
}

// header takes what a header says that matters here.
func (r *request) header(line string) {
	name, value, ok := strings.Cut(line, ":")
	value = strings.ToLower(strings.TrimSpace(value))
	switch r.lines++; strings.ToLower(name) {
	case "connection":
		r.close = r.close && !strings.Contains(value, "keep-alive") || strings.Contains(value, "close")
	case "content-length":
		r.body = r.body || value != "0"
	case "transfer-encoding":
		r.body = true
	}
	if !ok || r.lines > maxLines {
		r.method = "" // it is answered with an error, when its end has come
	}
}

// answer is the whole answer to a request. Where the next request could not be told from a body, it is the last.
func (s *server) answer(r *request) []byte {
	r.close = r.close || r.body || r.method == ""
	status, kind, body := http.StatusMethodNotAllowed, "text/plain", []byte(nil)
	switch {
	case r.method == "" || r.body:
		status = http.StatusBadRequest
	case r.method == http.MethodGet || r.method == http.MethodHead:
		status, kind, body = s.file(r.target)
	}
	return answer(status, kind, body, r.method != http.MethodHead, r.close)
}

// file is the file that a target means; that of a folder is its index.html. The root keeps paths and symbolic links inside.
func (s *server) file(target string) (status int, kind string, body []byte) {
	target, _, _ = strings.Cut(target, "?")
	name, err := url.PathUnescape(target)
	if err != nil || strings.ContainsRune(name, 0) {
		return http.StatusBadRequest, "text/plain", nil
	}
	folder := strings.HasSuffix(name, "/")
	if name = path.Clean("/" + name)[1:]; folder {
		name = path.Join(name, "index.html")
	}
	if body, err = s.read(name); err != nil {
		return statusOf(err), "text/plain", nil
	}
	if kind = mime.TypeByExtension(path.Ext(name)); kind == "" {
		kind = "application/octet-stream"
	}
	return http.StatusOK, kind, body
}

var (
	errNoFile   = errors.New("not a file")
	errTooLarge = errors.New("too large")
)

// read reads a file, which opening does not wait for, as it would for somebody to write into a pipe.
func (s *server) read(name string) ([]byte, error) {
	f, err := s.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errNoFile
	case info.Size() > maxFileBytes:
		return nil, errTooLarge
	}
	return io.ReadAll(io.LimitReader(f, maxFileBytes)) // it may grow
}

func statusOf(err error) int {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return http.StatusForbidden
	case errors.Is(err, errTooLarge):
		return http.StatusInsufficientStorage
	}
	return http.StatusNotFound // and whatever leads out of the folder
}

// answer puts an answer together, RFC 9112, 4. One without a body of its own says its status.
func answer(status int, kind string, body []byte, withBody, last bool) []byte {
	if status != http.StatusOK {
		body = fmt.Appendf(nil, "%d %s\n", status, http.StatusText(status))
	}
	connection := "keep-alive"
	if last {
		connection = "close"
	}
	text := fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nX-Content-Type-Options: nosniff\r\nConnection: %s\r\n",
		status, http.StatusText(status), kind, len(body), connection)
	if status == http.StatusMethodNotAllowed {
		text = append(text, "Allow: GET, HEAD\r\n"...)
	}
	if text = append(text, "\r\n"...); withBody {
		text = append(text, body...)
	}
	return text
}
