package source

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/procwatch"
)

// child is a process that waits for a line, and then ends as shell says.
func child(t *testing.T, last string) (pid int, end func()) {
	t.Helper()
	c := exec.Command("sh", "-c", "read x; "+last)
	in, err := c.StdinPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	end = func() {
		in.Close()
		c.Wait()
	}
	return c.Process.Pid, end
}

// facts are an event's, by name.
func (e detected) facts() map[string]string {
	all := map[string]string{}
	for _, f := range e.Facts {
		all[f.Name] = f.Text()
	}
	return all
}

func TestProcessExit_R224(t *testing.T) {
	d, s := newDesk(t, "process.exit")
	for id, c := range []struct{ last, how, code, signal string }{
		{"exit 3", "exit", "3", ""}, {"kill -KILL $$", "signal", "-1", "KILL"},
	} {
		pid, end := child(t, c.last)
		file := filepath.Join(t.TempDir(), "pid")
		if err := os.WriteFile(file, []byte(strconv.Itoa(pid)), 0o600); err != nil {
			t.Fatal(err)
		}
		one, other := aem.JobID(2*id), aem.JobID(2*id+1)
		for job, spec := range map[aem.JobID]Spec{one: ProcessExit{PID: pid}, other: ProcessExit{PIDFile: file}} {
			if err := s.Start(job, spec); err != nil {
				t.Fatal(err)
			}
		}
		s.(*exits).watcher.Wait()
		n := len(d.detected)
		end()
		d.events(t, n+2)
		for _, e := range d.detected[n:] {
			f := e.facts()
			if f["pid"] != strconv.Itoa(pid) || f["how"] != c.how || f["code"] != c.code || f["signal"] != c.signal || f["comm"] != "sh" || f["core"] != "0" || f["exe"] == "" {
				t.Errorf("%s: %v", c.last, f)
			}
		}
		s.Stop(one)
		s.Stop(other)
	}
}

// TestHeldJobKeepsExits_R094: what ended while a job was held is told when it takes again, and what was too much for that
// is counted.
func TestHeldJobKeepsExits_R094(t *testing.T) {
	d, s := newDesk(t, "process.exit")
	exits := s.(*exits)
	if err := s.Start(1, ProcessExit{PID: os.Getpid()}); err != nil {
		t.Fatal(err)
	}
	s.Hold(1)
	const more = 5
	batch := make([]procwatch.Exit, keptArrivals+more)
	for i := range batch {
		batch[i] = procwatch.Exit{View: exits.numbers[1], How: procwatch.Signaled, Code: -1, Signal: syscall.SIGTERM, PID: i}
	}
	exits.take(batch)
	<-exits.taken
	if got := exits.Kept(1); len(d.detected) != 0 || got != keptArrivals+more {
		t.Fatalf("kept %d, detected %d", got, len(d.detected))
	}
	d.then = func(detected) {
		if len(d.detected) == 3 {
			s.Hold(1)
		}
	}
	s.Resume(1)
	if len(d.detected) != 3 {
		t.Errorf("%d were detected of a job that was held again", len(d.detected))
	}
	s.Resume(1)
	last := d.detected[len(d.detected)-1]
	if len(d.detected) != keptArrivals+1 || last.facts()["how"] != "lost" || last.Count != more || exits.Kept(1) != 0 {
		t.Errorf("%d detected, the last %v counts %d", len(d.detected), last.facts(), last.Count)
	}
	for i, e := range d.detected[:keptArrivals] {
		if e.facts()["pid"] != strconv.Itoa(i) {
			t.Fatalf("event %d is of process %v", i, e.facts())
		}
	}
}

func TestProgramsNeedTheConnector_R021(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	d, s := newDesk(t, "process.exit")
	if err := s.Start(1, ProcessExit{Exe: "/nowhere/at/all"}); err != nil {
		t.Fatal(err)
	}
	s.Stop(1)
	d.quiet(t, 0)
	for name, spec := range map[string]ProcessExit{
		"none": {}, "two": {PID: 1, Exe: "/x"}, "relative": {PIDFile: "x"}, "pattern": {Exe: "/[x"}, "cgroup": {Cgroup: "x"}, "negative": {PID: -1},
	} {
		if err := Check(spec); err == nil {
			t.Errorf("%s: %+v is a spec", name, spec)
		}
	}
}
