package test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/config"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/filewatch"
	"github.com/aem-exec/aem-exec/source"
)

// TestMachineExample_R150 runs configs/machine.toml: files, signals, devices, and pressure as far as it can be without it.
func TestMachineExample_R150(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	s := prepare(t, myself(), "")
	s.write("aem.toml", strings.ReplaceAll(string(must(os.ReadFile("../configs/machine.toml"))), "../", ""))
	if err := os.MkdirAll(s.path("run/inbox/sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.run()
	s.write("run/inbox/sub/order.csv", "x")
	s.log.await(t, "run/inbox/sub/order.csv was written", "event=inbox")
	if err := s.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	s.log.await(t, "USR1 from process "+itoa(os.Getpid())+" of user 0", "event=signal")
	if err := os.WriteFile("/sys/class/net/lo/uevent", []byte("change"), 0); err != nil {
		t.Fatal(err)
	}
	s.log.await(t, "net /devices/virtual/net/lo: change", "event=device")
	s.stop()
}

// TestActsExample_R225 runs configs/acts.toml, and has another process do what it tells of.
func TestActsExample_R225(t *testing.T) {
	aemtest.Require(t, aemtest.Root, aemtest.Feature{Name: "fanotify", Probe: filewatch.ProbeWhole})
	s := prepare(t, myself(), "")
	s.write("aem.toml", strings.ReplaceAll(string(must(os.ReadFile("../configs/acts.toml"))), "../", ""))
	if err := os.MkdirAll(s.path("run/watched"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.run()
	told := "run/watched/x: written by process " + itoa(os.Getpid())
	for until := time.Now().Add(patience); len(s.log.lines(told, "event=watched")) == 0; time.Sleep(10 * time.Millisecond) {
		if s.write("run/watched/x", "x"); time.Now().After(until) {
			t.Fatalf("nobody was told that %s", told)
		}
	}
	s.stop()
}

// TestEveryTypeHasAnExample: in the files that are there to be read each type of event occurs, and nothing is wrong with them.
func TestEveryTypeHasAnExample(t *testing.T) {
	configs, examples := must(filepath.Glob("../configs/*.toml")), must(filepath.Glob("../examples/*.toml"))
	var shown []string
	for _, name := range append(configs, examples...) {
		file, err := config.Load(name)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, app := range file.Options.Apps {
			for _, e := range app.Events {
				shown = append(shown, e.Source.Type())
			}
		}
	}
	for _, typ := range source.Types() {
		if !slices.Contains(shown, typ.Name) {
			t.Errorf("no example has an event of type %s", typ.Name)
		}
	}
}
