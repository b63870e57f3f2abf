package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/aemtest"
)

func TestMain(m *testing.M) { aemtest.NoLeaks(m) }

const patience = 30 * time.Second

// serve serves a folder with some files until the test ends, and returns where, and the folder.
func serve(t *testing.T) (address, folder string) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "folder")
	for name, text := range map[string]string{
		"index.html": "<p>index", "sub/index.html": "<p>sub", "a b.txt": "a b", "data": "data", "big": strings.Repeat("0123456789", 1<<19),
		"../secret": "secret", "sub/secret": "no secret",
	} {
		file := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, make := range map[string]func(string) error{
		"out":  func(file string) error { return os.Symlink("../secret", file) },
		"in":   func(file string) error { return os.Symlink("data", file) },
		"root": func(file string) error { return os.Symlink("/", file) },
		"pipe": func(file string) error { return syscall.Mkfifo(file, 0o644) },
		"huge": func(file string) error {
			return os.WriteFile(file, nil, 0o644)
		},
	} {
		if err := make(filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(filepath.Join(folder, "huge"), maxFileBytes+1); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	l.Close()
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- run(ctx, "tcp://"+address, folder, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return address, folder
}

// speak says something and returns all that comes back until the server ends.
func speak(t *testing.T, address, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience)) //nolint:errcheck // then a failure takes longer
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("%.60q: %v after %d bytes", text, err, len(answer))
	}
	return string(answer)
}

// TestFiles_R218 asks for what is there and for what is not, and for what is not to be given.
func TestFiles_R218(t *testing.T) {
	address, _ := serve(t)
	for _, c := range []struct {
		target string
		status int
		body   string
		kind   string
	}{
		{"/", 200, "<p>index", "text/html; charset=utf-8"},
		{"/sub/", 200, "<p>sub", "text/html; charset=utf-8"},
		{"/a%20b.txt", 200, "a b", "text/plain; charset=utf-8"},
		{"/data", 200, "data", "application/octet-stream"},
		{"/data?x=../secret", 200, "data", ""},
		{"/sub/../data", 200, "data", ""},
		{"/in", 200, "data", ""},
		{"/big", 200, strings.Repeat("0123456789", 1<<19), ""},
		{"/sub", 404, "", "text/plain"},
		{"/none", 404, "", ""},
		{"/../secret", 404, "", ""},
		{"/sub/../../secret", 404, "", ""},
		{"/%2e%2e/secret", 404, "", ""},
		{"/..%2fsecret", 404, "", ""},
		{"/out", 404, "", ""},
		{"/root/etc/passwd", 404, "", ""},
		{"//etc/passwd", 404, "", ""},
		{"/pipe", 404, "", ""},
		{"/data/", 404, "", ""},
		{"/data%00.html", 400, "", ""},
		{"/%zz", 400, "", ""},
		{"/huge", 507, "", ""},
	} {
		text := speak(t, address, "GET "+c.target+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		answer, err := http.ReadResponse(bufio.NewReader(strings.NewReader(text)), nil)
		if err != nil {
			t.Errorf("%s: %v in %.200q", c.target, err, text)
			continue
		}
		body, err := io.ReadAll(answer.Body)
		if c.status != 200 {
			c.body = fmt.Sprintf("%d %s\n", c.status, http.StatusText(c.status))
		}
		kind := answer.Header.Get("Content-Type")
		if answer.StatusCode != c.status || string(body) != c.body || err != nil || c.kind != "" && kind != c.kind || !answer.Close {
			t.Errorf("%s: %s, %s, %.60q, %v", c.target, answer.Status, kind, body, err)
		}
	}
}

func TestRequests(t *testing.T) {
	address, _ := serve(t)
	const end = "HTTP/1.1 400 Bad Request\r\n"
	for _, c := range []struct{ name, text, first, last string }{
		{"HTTP/1.0", "GET /data HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n", "\r\n\r\ndata"},
		{"HEAD", "HEAD /data HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n", "Connection: close\r\n\r\n"},
		{"bare newlines", "GET /data HTTP/1.0\n\n", "HTTP/1.1 200 OK\r\n", "data"},
		{"lines before", "\r\n\r\nGET /data HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n", "data"},
		{"another method", "DELETE /data HTTP/1.0\r\n\r\n", "HTTP/1.1 405 Method Not Allowed\r\n", "Method Not Allowed\n"},
		{"a body", "GET /data HTTP/1.1\r\nContent-Length: 4\r\n\r\nGET ", end, "Bad Request\n"},
		{"a body in pieces", "GET /data HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", end, ""},
		{"no header", "GET /data HTTP/1.1\r\nnonsense\r\n\r\n", end, ""},
		{"many headers", "GET /data HTTP/1.1\r\n" + strings.Repeat("a: b\r\n", maxLines+1) + "\r\n", end, ""},
		{"nonsense", "nonsense\r\n", end, ""},
		{"no path", "GET data HTTP/1.1\r\n", end, ""},
		{"another version", "GET / HTTP/2.0\r\n", end, ""},
		{"a long line", "GET /" + strings.Repeat("x", 10_000) + " HTTP/1.1\r\n\r\n", "", ""},
	} {
		got := speak(t, address, c.text)
		if !strings.HasPrefix(got, c.first) || !strings.HasSuffix(got, c.last) || c.first == "" && got != "" {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

// TestKeptConnections has requests come one after the other, and all at once, on connections that are kept.
func TestKeptConnections(t *testing.T) {
	address, _ := serve(t)
	got := speak(t, address, strings.Repeat("GET /data HTTP/1.1\r\n\r\n", 50)+"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
	if n := strings.Count(got, "\r\n\r\ndata"); n != 50 || !strings.HasSuffix(got, "<p>index") {
		t.Errorf("%d answers", n)
	}
	transport := &http.Transport{}
	client := http.Client{Transport: transport, Timeout: patience}
	defer transport.CloseIdleConnections()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 3 {
				answer, err := client.Get("http://" + address + "/big")
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(answer.Body)
				answer.Body.Close()
				if len(body) != 5<<20 || err != nil {
					t.Errorf("%d bytes, %v", len(body), err)
				}
			}
		})
	}
	all.Wait()
}

// TestWhoLeavesIsForgotten: half of a request is no memory for ever.
func TestWhoLeavesIsForgotten(t *testing.T) {
	s := &server{requests: map[int64]*request{}}
	e := &aem.Event{Data: []byte("GET / HTTP/1.1\r\n"), Facts: []aem.Fact{aem.NumberFact("connection", 7)}}
	if err := s.line(context.Background(), e); err != nil || len(s.requests) != 1 {
		t.Fatalf("%d requests, %v", len(s.requests), err)
	}
	if err := s.gone(context.Background(), e); err != nil || len(s.requests) != 0 {
		t.Errorf("%d requests, %v", len(s.requests), err)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add("GET / HTTP/1.1", "Connection: close\nContent-Length: 0")
	f.Add("HEAD /%2e%2e/%00 HTTP/1.0", "transfer-encoding: x\n:\n")
	root, err := os.OpenRoot(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	defer root.Close()
	f.Fuzz(func(t *testing.T, line, headers string) {
		r := begin(line)
		if r == nil {
			return
		}
		for _, h := range strings.Split(headers, "\n") {
			r.header(h)
		}
		s := &server{root: root}
		head, _, ok := bytes.Cut(s.answer(r), []byte("\r\n"))
		if !ok || !bytes.HasPrefix(head, []byte("HTTP/1.1 ")) || bytes.Contains(head, []byte(" 200 ")) {
			t.Errorf("%q is answered with %q, by an empty folder", line, head)
		}
	})
}
