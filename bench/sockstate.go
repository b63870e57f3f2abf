package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// Connections of sockstate.wrong, and how many clients make them at once.
const (
	stateConnections = 4000
	stateClients     = 16
)

// lastAck is how long a socket may take to its last state: where the acknowledgement of its end is lost, the end is sent again
// after 200 ms (TCP_RTO_MIN in include/net/tcp.h).
const lastAck = time.Second

// lives are the ways in which connections end, with the states that the client's socket has to go through.
var lives = []struct {
	states string
	client func(c *net.TCPConn) error
	server func(c *net.TCPConn)
}{
	{"SYN_SENT ESTABLISHED FIN_WAIT1 FIN_WAIT2 CLOSE", func(c *net.TCPConn) error { return errors.Join(c.CloseWrite(), ended(c)) }, awaitEnd},
	{"SYN_SENT ESTABLISHED CLOSE_WAIT LAST_ACK CLOSE", ended, func(*net.TCPConn) {}},
	{"SYN_SENT ESTABLISHED CLOSE", func(c *net.TCPConn) error { return c.SetLinger(0) }, awaitEnd}, // a reset
}

// awaitEnd reads until the end.
func awaitEnd(c *net.TCPConn) { c.Read(make([]byte, 1)) } //nolint:errcheck // whatever the end is

// ended reads until the end, which is to be an orderly one.
func ended(c *net.TCPConn) error {
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil {
		return errors.New("something came")
	}
	return nil
}

// benchStates has clients keep their own record of what their sockets went through, and compares it with what a supervisor
// was told of them: what it was not told, and what it was told that never was, is wrong.
func benchStates(b *bench) (rows []row, err error) {
	if !b.root {
		b.say("sockstate.wrong is left out: it wants root")
		return nil, nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	told := map[int64][]string{} // by socket; written on the loop, read when it has ended
	lost := int64(0)
	text := fmt.Sprintf("[app.bench.handler.note]\nagent = \"callback\"\ncall = \"note\"\n"+
		"[app.bench.event.states]\ntype = \"socket.state\"\nports = [%d]\nhandler = \"note\"\n", l.Addr().(*net.TCPAddr).Port)
	s, err := b.supervise(text, map[string]executor.Function{"note": func(_ context.Context, e *aem.Event) error {
		next, _ := e.Fact("new")
		for _, f := range e.Facts {
			switch f.Name {
			case "socket":
				told[f.Number] = append(told[f.Number], next)
			case "lost":
				lost += f.Number
			}
		}
		return nil
	}})
	if err != nil {
		return nil, err
	}
	record, err := connectAll(l)
	time.Sleep(lastAck)
	if err := errors.Join(err, s.settled(), s.stop()); err != nil {
		return nil, err
	}
	wrong, all := lost, 0
	for socket, states := range record {
		all += strings.Count(states, " ") + 1
		wrong += int64(difference(strings.Fields(states), told[socket]))
	}
	return []row{{Name: "sockstate.wrong", Unit: "changes", Value: float64(wrong)}, {Name: "sockstate.changes", Unit: "changes", Value: float64(all)}}, nil
}

// difference is how many states the longest common beginning of a and b leaves of both.
func difference(a, b []string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return len(a) - n + len(b) - n
}

// connectAll makes the connections and returns what each client's socket went through, by its number.
func connectAll(l net.Listener) (record map[int64]string, err error) {
	record = map[int64]string{}
	var mu sync.Mutex // guards record and err
	var clients sync.WaitGroup
	for first := range stateClients {
		clients.Go(func() {
			for i := first; i < stateConnections; i += stateClients {
				socket, e := connectOnce(l, i%len(lives))
				mu.Lock()
				record[socket], err = lives[i%len(lives)].states, errors.Join(err, e)
				mu.Unlock()
			}
		})
	}
	for range stateConnections {
		c, e := l.Accept()
		if e != nil {
			return record, e
		}
		go serveLife(c.(*net.TCPConn))
	}
	clients.Wait()
	return record, err
}

// serveLife ends a connection as its client says in its first byte.
func serveLife(c *net.TCPConn) {
	defer c.Close() //nolint:errcheck // its server has closed it
	var life [1]byte
	if n, _ := c.Read(life[:]); n == 1 {
		lives[life[0]].server(c)
	}
}

func connectOnce(l net.Listener, life int) (socket int64, err error) {
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return errors.Join(c.Control(func(fd uintptr) {
			cookie, cerr := sys.SocketCookie(int(fd))
			socket, err = int64(cookie), cerr
		}), err)
	}}
	c, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		return socket, err
	}
	defer c.Close()
	if _, err := c.Write([]byte{byte(life)}); err != nil {
		return socket, err
	}
	return socket, lives[life].client(c.(*net.TCPConn))
}
