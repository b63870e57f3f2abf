package source

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/filewatch"
)

func (d detected) text(name string) string {
	for _, f := range d.Facts {
		if f.Name == name {
			return f.Text()
		}
	}
	return ""
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestFileFacts_R062_R225(t *testing.T) {
	d, s := newDesk(t, "file")
	dir := t.TempDir()
	if err := s.Start(1, File{Path: dir, On: FileOn}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond) // until it is watched: what is there before is not told
	path := filepath.Join(dir, "f")
	write(t, path)
	d.events(t, 1)
	if err := os.Rename(path, path+"2"); err != nil {
		t.Fatal(err)
	}
	d.events(t, 2)
	for i, want := range []string{path + " f written  0 0", path + "2 f2 rename " + path + " 0 0"} {
		e := d.detected[i]
		got := strings.Join([]string{e.text("path"), e.text("name"), e.text("op"), e.text("old"), e.text("dir"), e.text("found")}, " ")
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	s.Stop(1)
	write(t, path)
	d.quiet(t, 50*time.Millisecond)
}

// TestFileFactsOfAWhole has processes act in a file system of their own: by what is told, it is known which it was.
func TestFileFactsOfAWhole_R062_R225(t *testing.T) {
	aemtest.Require(t, aemtest.Root, aemtest.Feature{Name: "fanotify", Probe: filewatch.ProbeWhole})
	d, s := newDesk(t, "file")
	dir := t.TempDir()
	if err := syscall.Mount("aem-test", dir, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	spec := File{Path: dir, On: filewatch.Mode | FileOn, Match: []string{"[fg]"}, Whole: filewatch.Filesystem}
	if err := errors.Join(Check(spec), CheckHost(spec), s.Start(1, spec)); err != nil {
		t.Fatal(err)
	}
	s.(*files).watchers[filewatch.Filesystem].(*filewatch.Whole).Wait()
	var want []string
	path := filepath.Join(dir, "f")
	for _, c := range []struct{ act, told string }{
		{": >f", path + " f written  0 0"}, {"exec chmod 600 f", path + " f mode  0 0"}, {"exec mv f g", dir + "/g g rename " + path + " 0 0"},
		{"exec rm g", dir + "/g g remove  0 0"},
	} {
		sh := exec.Command("sh", "-c", c.act)
		sh.Dir = dir
		if out, err := sh.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", c.act, err, out)
		}
		want = append(want, fmt.Sprint(c.told, " ", sh.Process.Pid))
	}
	d.events(t, len(want))
	for i, e := range d.detected {
		f := e.facts()
		if got := strings.Join([]string{f["path"], f["name"], f["op"], f["old"], f["dir"], f["lost"], f["pid"]}, " "); got != want[i] {
			t.Errorf("got %q, want %q", got, want[i])
		}
	}
	s.Hold(1)
	view := s.(*files).numbers[1]
	for range keptArrivals + 3 {
		s.(*files).give(s.(*files).views[view], filewatch.Change{View: view, Op: filewatch.Mode})
	}
	s.Resume(1)
	if last := d.detected[len(d.detected)-1]; last.facts()["op"] != "overflow" || last.facts()["lost"] != "3" || last.Lost != 3 {
		t.Errorf("of what was lost is told %v, %d", last.facts(), last.Lost)
	}
	s.Stop(1)
	s.Stop(1)
}

func TestFileMissingIsTroubleUntilItIsThere(t *testing.T) {
	d, s := newDesk(t, "file")
	path := filepath.Join(t.TempDir(), "a", "b")
	if err := s.Start(1, File{Path: path, On: FileOn}); err != nil {
		t.Fatal(err)
	}
	d.until(t, "told", func() bool { return len(d.troubles) == 1 && d.troubles[0] != nil })
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	d.until(t, "well again", func() bool { return len(d.troubles) == 2 && d.troubles[1] == nil })
}

// TestHeldFilesAreKept holds a job while files come; they come when it takes again.
func TestHeldFilesAreKept(t *testing.T) {
	d, s := newDesk(t, "file")
	dir := t.TempDir()
	if err := s.Start(1, File{Path: dir, On: filewatch.Create, Existing: true}); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "first"))
	d.events(t, 1)
	s.Hold(1)
	for i := range 10 {
		write(t, filepath.Join(dir, fmt.Sprint(i)))
	}
	kept := s.(interface{ Kept(aem.JobID) uint64 })
	d.until(t, "kept", func() bool { return kept.Kept(1) == 10 })
	d.quiet(t, 20*time.Millisecond)
	d.then = func(e detected) { // the third one is as many as there is room for
		if len(d.detected) == 4 {
			s.Hold(1)
		}
	}
	s.Resume(1)
	if len(d.detected) != 4 || kept.Kept(1) != 7 {
		t.Fatalf("%d detected, %d kept", len(d.detected), kept.Kept(1))
	}
	s.Resume(1)
	d.events(t, 11)
	for i, e := range d.detected[1:] {
		if e.text("name") != fmt.Sprint(i) {
			t.Errorf("event %d is of %s", i, e.text("name"))
		}
	}
}

// TestMoreThanIsKeptIsCountedAndListed holds a job for longer than there is room for.
func TestMoreThanIsKeptIsCountedAndListed(t *testing.T) {
	d, s := newDesk(t, "file")
	dir := t.TempDir()
	name := filepath.Join(dir, strings.Repeat("n", 200))
	if err := s.Start(1, File{Path: dir, On: filewatch.Create | filewatch.Remove, Existing: true}); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "first"))
	d.events(t, 1)
	s.Hold(1)
	const rounds = 4000
	for range rounds {
		write(t, name)
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	kept := s.(interface{ Kept(aem.JobID) uint64 })
	d.until(t, "kept or counted", func() bool { return kept.Kept(1) == 2*rounds })
	s.Resume(1)
	d.until(t, "listed", func() bool { return d.detected[len(d.detected)-1].text("op") == "existing" })
	told, lost := len(d.detected)-3, int64(0)
	overflow := d.detected[len(d.detected)-2]
	for _, f := range overflow.Facts {
		if f.Name == "lost" {
			lost = f.Number
		}
	}
	if overflow.text("op") != "overflow" || lost == 0 || int64(told)+lost != 2*rounds {
		t.Errorf("%d told, then %s of %d; want %d together", told, overflow.text("op"), lost, 2*rounds)
	}
	if last := d.detected[len(d.detected)-1]; last.text("name") != "first" {
		t.Errorf("%s is there, want first", last.text("path"))
	}
}
