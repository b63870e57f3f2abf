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
