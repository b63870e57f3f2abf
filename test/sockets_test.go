package test

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// TestSocketsExample runs configs/sockets.toml as somebody without any rights.
func TestSocketsExample(t *testing.T) {
	s := prepare(t, nobody(), "")
	address := freeAddress(t)
	example, err := os.ReadFile("../configs/sockets.toml")
	if err != nil {
		t.Fatal(err)
	}
	s.write("aem.toml", strings.NewReplacer("../", "", "127.0.0.1:7009", address, "@aem-note", "@"+s.dir).Replace(string(example)))
	s.run()
	s.log.await(t, "ready: 3 jobs, 1 app")

	if answer, err := converse("tcp", address, "hello\nand\nbye"); answer != "HELLO\nAND\nBYE" {
		t.Errorf("%q, %v", answer, err)
	}
	if _, err := converse("unix", "@"+s.dir, "one\n"); err != nil {
		t.Error(err)
	}
	s.log.await(t, "unix: sent something", "app=net", "event=note")
	c, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answer := make([]byte, 16)
	c.SetDeadline(time.Now().Add(patience)) //nolint:errcheck // then a failure takes longer
	c.Write([]byte("hello"))                //nolint:errcheck // the answer tells
	if n, err := c.Read(answer); string(answer[:n]) != "HELLO" {
		t.Errorf("%q, %v", answer[:n], err)
	}
	s.stop()
}

// TestPassedSockets has sockets made before the supervisor, as systemd makes them. Who connects while nobody listens waits
// in the kernel.
func TestPassedSockets(t *testing.T) {
	s := prepare(t, nobody(), `
[app.net.handler.upper]
exec = ["bin/upper"]
life = "resident"
handover = "direct"
[app.net.event.lines]
type = "socket.read"
listen = "fd://web"
frame = "line"
handler = "upper"
[app.net.event.datagrams]
type = "socket.read"
listen = "fd://log"
frame = "datagram"
handler = "upper"
[app.net.event.nothing]
type = "socket.accept"
listen = "fd://nothing"
handler = { agent = "callback", call = "log" }
`)
	var web []string
	for range 2 {
		l := must(net.Listen("tcp", "127.0.0.1:0"))
		defer l.Close()
		web = append(web, l.Addr().String())
		s.pass = append(s.pass, must(l.(*net.TCPListener).File()))
	}
	log := must(net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	defer log.Close()
	s.pass, s.name = append(s.pass, must(log.File())), "web:web:log"
	for _, f := range s.pass {
		defer f.Close()
	}
	early := must(net.Dial("tcp", web[0]))
	defer early.Close()
	s.run()
	if answer, err := talk(early, "early\n"); answer != "EARLY\n" {
		t.Errorf("%q, %v", answer, err)
	}
	if answer, err := converse("tcp", web[1], "second\n"); answer != "SECOND\n" {
		t.Errorf("%q, %v", answer, err)
	}
	c := must(net.Dial("udp", log.LocalAddr().String()))
	defer c.Close()
	answer := make([]byte, 16)
	c.SetDeadline(time.Now().Add(patience)) //nolint:errcheck // then a failure takes longer
	c.Write([]byte("hello"))                //nolint:errcheck // the answer tells
	if n, err := c.Read(answer); string(answer[:n]) != "HELLO" {
		t.Errorf("%q, %v", answer[:n], err)
	}
	s.log.await(t, "cannot start", "job=net/nothing", "no socket of that name was passed on")

	s.must("ctl", "stop", "net/lines")
	late := must(net.Dial("tcp", web[0]))
	defer late.Close()
	s.must("ctl", "start", "net/lines")
	if answer, err := talk(late, "late\n"); answer != "LATE\n" {
		t.Errorf("%q, %v", answer, err)
	}
	s.stop()
}
