package test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/aemtest"
)

func TestMain(m *testing.M) { aemtest.NoLeaks(m) }

// TestDemo runs what `make demo` runs, from a folder of its own and at free ports, and plays the client that the
// file's comments show.
func TestDemo(t *testing.T) {
	aemtest.Require(t, aemtest.Python)
	dir := t.TempDir()
	build(t, filepath.Join(dir, "bin")+"/", "../cmd/aem-exec", "../examples/handlers/...")
	do(t, exec.Command("cp", "-r", "../configs", "../examples", dir))
	echo, hello := freeAddress(t), freeAddress(t)
	replace(t, filepath.Join(dir, "configs/aem.toml"), "127.0.0.1:7007", echo, "127.0.0.1:7008", hello)
	r := run(t, dir, "configs/aem.toml")

	if got := talk(t, echo, "hello\n"); got != "hello\n" {
		t.Errorf("echo: %q", got)
	}
	if got := talk(t, hello, "you\n"); got != "hello you from 127.0.0.1\n" {
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
		if out, status := r.command("emit", c.topic, "--data", c.data, "--wait"); status != c.status {
			t.Errorf("emit %s %q: status %d, want %d\n%s", c.topic, c.data, status, c.status, out)
		}
	}
	checkBooks(t, r, 6)
}

// replace writes a file anew with texts exchanged for others.
func replace(t *testing.T, file string, oldnew ...string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, []byte(strings.NewReplacer(oldnew...).Replace(string(text))), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// checkBooks waits until each of so many jobs has had an event and none is open; their counts add up at any time.
func checkBooks(t *testing.T, r *running, want int) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		out, _ := r.command("ctl", "list", "--json")
		var jobs []struct {
			App, Event, Handler string
			Counts              aem.Counts
		}
		if err := json.Unmarshal([]byte(out), &jobs); err != nil {
			t.Fatalf("ctl list --json: %v\n%s", err, out)
		}
		open := len(jobs) != want
		for _, j := range jobs {
			if !j.Counts.Balanced() {
				t.Errorf("%s/%s:%s: the books do not balance: %+v", j.App, j.Event, j.Handler, j.Counts)
			}
			open = open || j.Counts.Detected == 0 || j.Counts.Waiting+j.Counts.Running > 0
		}
		if !open {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("events are open:\n%s", out)
		}
	}
}
