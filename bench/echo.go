package main

import (
	"errors"
	"strconv"
)

const (
	echoConnections = 64    // kept, each with one message on its way
	echoMessages    = 20000 // of a block
)

// echoServers are a callback and what it is compared with: programs that do nothing else.
var echoServers = []struct {
	name     string
	packaged string // the Debian package that it needs
	compile  func(*bench) (string, error)
}{
	{"callback", "", (*bench).echoAEM},
	{"epoll", "", func(b *bench) (string, error) { return b.compile("echo-epoll") }},
	{"libuv", "libuv1-dev", func(b *bench) (string, error) { return b.compileWith("echo-uv", "-luv") }},
	{"libevent", "libevent-dev", func(b *bench) (string, error) { return b.compileWith("echo-event", "-levent_core") }},
	{"gonet", "", func(b *bench) (string, error) { return b.compileGo("echo-net", "./bench/testdata/echo-net") }},
}

// echoAEM is a program with a supervisor inside whose callback sends back what comes.
func (b *bench) echoAEM() (string, error) {
	return b.compileGo("echo-aem", "./bench/testdata/echo-aem")
}

// benchEcho has each server echo 64 bytes, with a client of its own.
func benchEcho(b *bench) (rows []row, err error) {
	r := &echoes{bench: b}
	defer func() { err = errors.Join(err, r.close()) }()
	var contenders []contender
	for _, s := range echoServers {
		program, err := s.compile(b)
		if err != nil && s.packaged != "" {
			b.say("%s is left out: it needs the package %s", s.name, s.packaged)
			continue
		}
		if err != nil {
			return nil, err
		}
		client, err := r.serve(program, echoConnections, 0)
		if err != nil {
			return nil, err
		}
		contenders = append(contenders, contender{s.name, func() ([]float64, error) { return rate(client, echoMessages, echoConnections) }})
	}
	all, err := interleave(turns, contenders...)
	if err != nil {
		return nil, err
	}
	for _, c := range contenders[1:] {
		rows = append(rows, all.rows("callback.echo."+c.name, "echoes/s", "callback", c.name)[0])
	}
	return rows, nil
}

// echoes are echo servers that run, and their clients.
type echoes struct {
	*bench
	servers running
	clients []*floor
}

// serve starts a server, and a client that keeps connections to it: so many with a message on its way, so many idle.
func (r *echoes) serve(program string, connections, idle int) (*floor, error) {
	client, err := r.compile("pingpong")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	if err := r.servers.start([]string{program, strconv.Itoa(port)}); err != nil {
		return nil, err
	}
	if err := answers(port); err != nil {
		return nil, err
	}
	f, err := startFloor(nil, client, strconv.Itoa(port), strconv.Itoa(connections), strconv.Itoa(idle))
	if err == nil {
		r.clients = append(r.clients, f)
	}
	return f, err
}

func (r *echoes) close() error {
	var errs []error
	for _, f := range r.clients {
		errs = append(errs, f.close())
	}
	return errors.Join(append(errs, r.servers.close())...)
}
