package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
)

const (
	echoConnections = 64    // kept, each with one message on its way
	echoMessages    = 20000 // of a block
)

// echoServers are what we compare a callback with: programs that do nothing else.
var echoServers = []struct {
	name     string
	packaged string // the Debian package that it needs
	compile  func(*bench) (string, error)
}{
	{"epoll", "", func(b *bench) (string, error) { return b.compile("echo-epoll") }},
	{"libuv", "libuv1-dev", func(b *bench) (string, error) { return b.compileWith("echo-uv", "-luv") }},
	{"libevent", "libevent-dev", func(b *bench) (string, error) { return b.compileWith("echo-event", "-levent_core") }},
	{"gonet", "", func(b *bench) (string, error) { return b.compileGo("echo-net", "./bench/testdata/echo-net") }},
}

// echoRun is an echo of 64 bytes, by a callback of an embedded supervisor and by others, each with a client of its own.
type echoRun struct {
	*bench
	client     string
	running    []*running
	clients    []*floor
	contenders []contender
}

func benchEcho(b *bench) (rows []row, err error) {
	r := &echoRun{bench: b}
	defer func() { err = errors.Join(err, r.close()) }()
	if r.client, err = b.compile("pingpong"); err != nil {
		return nil, err
	}
	ours, err := r.startOurs()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close(), ours.stop()) }()
	for _, s := range echoServers {
		program, err := s.compile(b)
		if err != nil && s.packaged != "" {
			b.say("%s is left out: it needs the package %s", s.name, s.packaged)
			continue
		}
		if err == nil {
			err = r.startOther(s.name, program)
		}
		if err != nil {
			return nil, err
		}
	}
	all, err := interleave(turns, r.contenders...)
	if err != nil {
		return nil, err
	}
	for _, c := range r.contenders[1:] {
		rows = append(rows, all.rows("callback.echo."+c.name, "echoes/s", "callback", c.name)[0])
	}
	return rows, nil
}

// startOurs runs a supervisor in this process whose callback sends back what comes.
func (r *echoRun) startOurs() (*supervised, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf("[app.bench.handler.echo]\nagent = \"callback\"\ncall = \"echo\"\n"+
		"[app.bench.event.echo]\ntype = \"socket.read\"\nlisten = \"tcp://127.0.0.1:%d\"\nhandler = \"echo\"\n", port)
	s, err := r.supervise(text, map[string]executor.Function{"echo": func(_ context.Context, e *aem.Event) error {
		e.Reply(e.Data)
		return nil
	}})
	if err != nil {
		return nil, err
	}
	if err := r.serve("callback", port); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

func (r *echoRun) startOther(name, program string) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	server := &running{}
	r.running = append(r.running, server)
	if err := server.start([]string{program, strconv.Itoa(port)}); err != nil {
		return err
	}
	return r.serve(name, port)
}

// serve gives a server its client.
func (r *echoRun) serve(name string, port int) error {
	if err := answers(port); err != nil {
		return err
	}
	f, err := startFloor(nil, r.client, strconv.Itoa(port), strconv.Itoa(echoConnections))
	if err != nil {
		return err
	}
	r.clients = append(r.clients, f)
	r.contenders = append(r.contenders, contender{name, func() ([]float64, error) { return rate(f, echoMessages, echoConnections) }})
	return nil
}

// close ends clients and servers; it may be called twice.
func (r *echoRun) close() error {
	var errs []error
	for _, f := range r.clients {
		errs = append(errs, f.close())
	}
	for _, s := range r.running {
		errs = append(errs, s.close())
	}
	r.clients, r.running = nil, nil
	return errors.Join(errs...)
}
