package test

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// TestSocketsExample runs configs/sockets.toml as somebody without any rights.
func TestSocketsExample(t *testing.T) {
	aemtest.Require(t, aemtest.Python)
	s := prepare(t, nobody(), "")
	address, clock := freeAddress(t), freeAddress(t)
	example, err := os.ReadFile("../configs/sockets.toml")
	if err == nil {
		err = os.CopyFS(s.path("examples"), os.DirFS("../examples"))
	}
	if err != nil {
		t.Fatal(err)
	}
	s.write("aem.toml", strings.NewReplacer("../", "", "127.0.0.1:7009", address, "127.0.0.1:7010", clock, "@aem-note", "@"+s.dir).Replace(string(example)))
	s.run()
	s.log.await(t, "ready: 5 jobs, 1 app")

	if answer, err := converse("tcp", address, "hello\nand\nbye"); answer != "HELLO\nAND\nBYE" {
		t.Errorf("%q, %v", answer, err)
	}
	s.log.await(t, "127.0.0.1:", "is gone (peer), 13 bytes came and 13 went", "event=gone")
	if _, err := converse("unix", "@"+s.dir, "one\n"); err != nil {
		t.Error(err)
	}
	s.log.await(t, "unix: sent something", "app=net", "event=note")
	if answer := ask(t, address, "hello"); answer != "HELLO" {
		t.Errorf("%q", answer)
	}
	for range 2 {
		if _, err := time.Parse("15:04:05\n", ask(t, clock, "")); err != nil {
			t.Error(err)
		}
	}
	if c := s.settled("net", "clock", 1); c.Detected != 1 {
		t.Errorf("one server answers both: %+v", c)
	}
	s.stop()
}

// TestStatesExample runs configs/states.toml: as root it tells of connections that are none of its own, and as anybody else
// it is refused with what is missing.
func TestStatesExample(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	example := strings.ReplaceAll(string(must(os.ReadFile("../configs/states.toml"))), "../", "")
	s := prepare(t, myself(), "")
	s.write("aem.toml", example)
	s.run()
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	defer l.Close()
	c := must(net.Dial("tcp", l.Addr().String()))
	client := c.LocalAddr().String()
	c.Close()
	s.log.await(t, client+" -> "+l.Addr().String()+": SYN_SENT -> ESTABLISHED", "event=tcp")
	s.stop()

	s = prepare(t, nobody(), "")
	s.write("aem.toml", example)
	out, err := s.command("run").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "app.net.event.tcp") || !strings.Contains(string(out), "BPF and PERFMON are missing") {
		t.Errorf("%v: %s", err, out)
	}
}

// ask sends a datagram and returns what comes back.
func ask(t *testing.T, address, question string) string {
	t.Helper()
	c := must(net.Dial("udp", address))
	defer c.Close()
	answer := make([]byte, 64)
	c.SetDeadline(time.Now().Add(patience)) //nolint:errcheck // then a failure takes longer
	c.Write([]byte(question))               //nolint:errcheck // the answer tells
	n, err := c.Read(answer)
	if err != nil {
		t.Error(err)
	}
	return string(answer[:n])
}

// TestListenFDs has a Python script that knows socket activation take connections, and a listening socket.
func TestListenFDs(t *testing.T) {
	aemtest.Require(t, aemtest.Python)
	script := `
import os, socket, sys
assert os.environ["LISTEN_PID"] == str(os.getpid()), os.environ["LISTEN_PID"]
assert sys.stdin.read() == ""
s = socket.socket(fileno=3)
c = s.accept()[0] if s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) else s
c.sendall(" ".join(os.environ.get(n, "-") for n in ("LISTEN_FDS", "LISTEN_FDNAMES", "REMOTE_ADDR")).encode())
`
	connection, whole := freeAddress(t), freeAddress(t)
	s := prepare(t, nobody(), `
[app.py.handler.h]
exec = ["python3", "script.py"]
handover = "listen-fds"
[app.py.event.in]
type = "socket.accept"
listen = "tcp://`+connection+`"
handler = "h"
[app.py.event.all]
type = "socket.ready"
listen = "tcp://`+whole+`"
handler = "h"
`)
	s.write("script.py", script)
	s.run()
	for address, want := range map[string]string{connection: "1 connection 127.0.0.1", whole: "1 all -"} {
		if answer, err := converse("tcp", address, ""); answer != want {
			t.Errorf("%q, %v, want %q", answer, err, want)
		}
	}
	s.settled("py", "in", 1)
	if c := s.settled("py", "all", 1); c.Done != 1 {
		t.Errorf("%+v", c)
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
	if answer := ask(t, log.LocalAddr().String(), "hello"); answer != "HELLO" {
		t.Errorf("%q", answer)
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
