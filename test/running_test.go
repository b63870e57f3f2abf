package test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is what anything here may take.
const patience = 30 * time.Second

// running is an aem-exec that runs a file.
type running struct {
	t               *testing.T
	program, config string
}

// build builds packages or files of Go into dir.
func build(t *testing.T, dir string, what ...string) {
	t.Helper()
	do(t, exec.Command("go", append([]string{"build", "-o", dir}, what...)...))
}

func do(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
}

// run runs a file with dir/bin/aem-exec until the test's end. It returns when the supervisor is ready.
func run(t *testing.T, dir, config string) *running {
	t.Helper()
	r := &running{t, filepath.Join(dir, "bin", "aem-exec"), filepath.Join(dir, config)}
	cmd := exec.Command(r.program, "-c", r.config, "run")
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	ready, read := make(chan bool, 1), make(chan struct{})
	var lines bytes.Buffer
	go func() {
		defer close(read)
		for s := bufio.NewScanner(stderr); s.Scan(); {
			fmt.Fprintln(&lines, s.Text())
			if strings.HasPrefix(s.Text(), "ready: ") {
				ready <- true
			}
		}
		close(ready)
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		<-read
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("run ended with %v, after:\n%s", err, &lines)
		}
	})
	if !<-ready {
		t.Fatal("not ready")
	}
	return r
}

// command runs a verb of aem-exec that asks the supervisor.
func (r *running) command(args ...string) (out string, status int) {
	r.t.Helper()
	cmd := exec.Command(r.program, append([]string{"-c", r.config}, args...)...)
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		r.t.Fatalf("%v: %v", cmd, err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

// talk sends text to an address, and returns all that comes back.
func talk(t *testing.T, address, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, text)
	c.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("read from %s: %v", address, err)
	}
	return string(got)
}

// freeAddress is an address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
