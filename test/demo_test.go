package test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/aemtest"
)

func TestMain(m *testing.M) { aemtest.NoLeaks(m) }

// patience is what anything here may take.
const patience = 30 * time.Second

// demo is the running example.
type demo struct {
	t     *testing.T
	dir   string
	ports map[string]string // in the example's text -> those of this test
}

// TestDemo runs what `make demo` runs, from a folder of its own, and plays the client that the file's comments show.
func TestDemo(t *testing.T) {
	aemtest.Require(t, aemtest.Python)
	d := &demo{t: t, dir: t.TempDir(), ports: map[string]string{"127.0.0.1:7007": "", "127.0.0.1:7008": ""}}
	d.install()
	d.start()

	if got := d.talk("127.0.0.1:7007", "hello\n"); got != "hello\n" {
		t.Errorf("echo: %q", got)
	}
	if got := d.talk("127.0.0.1:7008", "you\n"); got != "hello you from 127.0.0.1\n" {
		t.Errorf("hello.sh: %q", got)
	}
	for _, c := range []struct {
		topic, data string
		status      int
	}{
		{"shop/visit", "front page", 0},
		{"shop/order", `{"sku": 7, "count": 2}`, 0},
		{"shop/order", "no JSON", 1},
	} {
		if out, status := d.command("emit", c.topic, "--data", c.data, "--wait"); status != c.status {
			t.Errorf("emit %s %q: status %d, want %d\n%s", c.topic, c.data, status, c.status, out)
		}
	}
	d.checkBooks()
}

// install builds the programs and copies the files, with ports that are free.
func (d *demo) install() {
	d.t.Helper()
	d.do(exec.Command("go", "build", "-o", filepath.Join(d.dir, "bin")+"/", "../cmd/aem-exec", "../examples/handlers/..."))
	d.do(exec.Command("cp", "-r", "../configs", "../examples", d.dir))
	file := d.path("configs/aem.toml")
	text, err := os.ReadFile(file)
	if err != nil {
		d.t.Fatal(err)
	}
	for written := range d.ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			d.t.Fatal(err)
		}
		d.ports[written] = l.Addr().String()
		l.Close()
		text = bytes.ReplaceAll(text, []byte(written), []byte(d.ports[written]))
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		d.t.Fatal(err)
	}
}

func (d *demo) path(name string) string { return filepath.Join(d.dir, name) }

func (d *demo) do(cmd *exec.Cmd) {
	d.t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		d.t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
}

// start runs the supervisor until the test's end, and waits until it is ready.
func (d *demo) start() {
	d.t.Helper()
	run := exec.Command(d.path("bin/aem-exec"), "-c", d.path("configs/aem.toml"), "run")
	stderr, err := run.StderrPipe()
	if err == nil {
		err = run.Start()
	}
	if err != nil {
		d.t.Fatal(err)
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
	d.t.Cleanup(func() {
		run.Process.Signal(syscall.SIGTERM)
		<-read
		if err := run.Wait(); err != nil || d.t.Failed() {
			d.t.Errorf("run ended with %v, after:\n%s", err, &lines)
		}
	})
	if !<-ready {
		d.t.Fatal("not ready")
	}
}

// talk sends text to an address of the example, and returns all that comes back.
func (d *demo) talk(address, text string) string {
	d.t.Helper()
	c, err := net.Dial("tcp", d.ports[address])
	if err != nil {
		d.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, text)
	c.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(c)
	if err != nil {
		d.t.Errorf("read from %s: %v", address, err)
	}
	return string(got)
}

// command runs a verb of aem-exec that asks the supervisor.
func (d *demo) command(args ...string) (out string, status int) {
	d.t.Helper()
	cmd := exec.Command(d.path("bin/aem-exec"), append([]string{"-c", d.path("configs/aem.toml")}, args...)...)
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		d.t.Fatalf("%v: %v", cmd, err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

// checkBooks waits until every job has had an event and none is open, and checks that the counts add up.
func (d *demo) checkBooks() {
	d.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		out, _ := d.command("ctl", "list", "--json")
		var jobs []struct {
			App, Event, Handler string
			Counts              aem.Counts
		}
		if err := json.Unmarshal([]byte(out), &jobs); err != nil {
			d.t.Fatalf("ctl list --json: %v\n%s", err, out)
		}
		open := len(jobs) != 6
		for _, j := range jobs {
			if !j.Counts.Balanced() {
				d.t.Errorf("%s/%s:%s: the books do not balance: %+v", j.App, j.Event, j.Handler, j.Counts)
			}
			open = open || j.Counts.Detected == 0 || j.Counts.Waiting+j.Counts.Running > 0
		}
		if !open {
			return
		}
		if time.Now().After(end) {
			d.t.Fatalf("events are open:\n%s", out)
		}
	}
}
