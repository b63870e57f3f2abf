package filewatch

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// wholes is the feature of telling of whole file systems.
var wholes = aemtest.Feature{Name: "fanotify", Probe: ProbeWhole}

// deskOfWhole is where a watcher of file systems reports to, with one of its own that is mounted at its root.
type deskOfWhole struct {
	*desk
	*Whole
}

// openWhole mounts a file system, has somebody do things in it, and watches it then.
func openWhole(t testing.TB, before string, specs ...Spec) *deskOfWhole {
	t.Helper()
	aemtest.Require(t, aemtest.Root, wholes)
	d := &deskOfWhole{desk: &desk{t: t, root: mounted(t, t.TempDir())}}
	d.perform(before)
	var err error
	if d.Whole, err = NewWhole(d.desk.take, d.troubled); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Whole.Close)
	for i, s := range specs {
		s.Path = filepath.Join(d.root, s.Path)
		d.Whole.Watch(uint64(i), s)
	}
	d.settled()
	return d
}

// mounted mounts an empty file system at a directory, until the test is over.
func mounted(t testing.TB, dir string) string {
	t.Helper()
	if err := syscall.Mount("aem-test", dir, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil && err != syscall.EINVAL { // EINVAL: the test has
			t.Error("unmount: ", err)
			syscall.Unmount(dir, syscall.MNT_DETACH) //nolint:errcheck // so that nothing is left
		}
	})
	return dir
}

// settled waits until the watcher has done what it was asked, and has read what it wants to know.
func (d *deskOfWhole) settled() {
	for unread := -1; unread != 0; {
		d.owned(func() { unread = len(d.unread) })
	}
}

// owned calls f as the owner.
func (d *deskOfWhole) owned(f func()) {
	d.Whole.Ask(f)
	d.Whole.Wait()
}

// held has the owner wait while f is done, so that the kernel tells of all of it at once.
func (d *deskOfWhole) held(f func()) {
	begun, done := make(chan struct{}), make(chan struct{})
	d.Whole.Ask(func() { close(begun); <-done })
	<-begun
	f()
	close(done)
}

// act has a process of its own do something while the owner is held, and waits until it is told so.
func (d *deskOfWhole) act(acts string, want ...string) {
	d.t.Helper()
	pid := 0
	d.held(func() { pid = d.perform(acts) })
	for i := range want {
		want[i] += fmt.Sprint(" by ", pid)
	}
	d.want(want...)
}

func TestWholeTellsWhoActed_R225(t *testing.T) {
	d := openWhole(t, "mkdir old; write old/f", Spec{On: all})
	d.act("write f", "0 create f merged", "0 open f merged", "0 out f merged", "0 close f merged", "0 written f merged")
	d.act("read f", "0 open f merged", "0 in f merged", "0 close f merged")
	d.act("mkdir a", "0 create a")
	d.act("remove f", "0 remove f")
	d.act("chmod old/f", "0 mode old/f")
	d.act("chown old/f", "0 owner old/f")
	d.act("touch old/f")
	d.act("chown old; chmod old", "0 owner old merged", "0 mode old merged")
	d.must(os.WriteFile(d.path("mine"), nil, 0o600)) // who watches does not tell of himself
	d.must(os.Chmod(d.path("mine"), 0o640))
	d.owned(d.Whole.take)
	d.act("chmod mine", "0 mode mine")
}

// TestWholeFromAnotherPIDNamespace has a process watch that does not see ours.
func TestWholeFromAnotherPIDNamespace(t *testing.T) {
	aemtest.Require(t, aemtest.Root, wholes)
	dir := mounted(t, t.TempDir())
	c := performer(dir, "watch")
	c.Stderr, c.SysProcAttr = os.Stderr, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	told := bufio.NewScanner(out)
	if told.Scan(); told.Text() != "watches" {
		t.Errorf("it said %q", told.Text())
	}
	if err := os.WriteFile(filepath.Join(dir, "f"), nil, 0o600); err != nil {
		t.Error(err)
	}
	if told.Scan(); told.Text() != "create f by 0" {
		t.Errorf("it was told %q", told.Text())
	}
	in.Close()
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}

func TestWholeTellsRenames_R225(t *testing.T) {
	d := openWhole(t, "mkdir in/sub; mkdir out; write out/f; write in/sub/g", Spec{Path: "in", On: Create | Written | Rename | Remove},
		Spec{On: Rename, Match: []string{"*.csv"}}, Spec{Path: "in/one", On: Written | Remove | Rename})
	d.act("move out/f in/f", "0 create in/f", "0 written in/f")
	d.act("move in/f in/a.csv", "0 rename in/a.csv was in/f")
	d.act("move in/a.csv in/b.csv", "0 rename in/b.csv was in/a.csv", "1 rename in/b.csv was in/a.csv")
	d.act("move in/b.csv in/one", "0 rename in/one was in/b.csv", "2 written in/one")
	d.act("move in/one out/f", "0 remove in/one", "2 remove in/one")
	d.act("mkdir in/one; write in/one/x", "0 create in/one", "0 create in/one/x merged", "0 written in/one/x merged", "2 written in/one/x merged")
	d.act("mkdir in/new; write in/new/j; move in/new in/newer; write in/newer/k", "0 create in/new", "0 create in/new/j merged",
		"0 written in/new/j merged", "0 rename in/newer was in/new", "0 create in/newer/k merged", "0 written in/newer/k merged")
	d.act("move in/sub in/dir; write in/dir/h", "0 rename in/dir was in/sub", "0 create in/dir/h merged", "0 written in/dir/h merged")
	d.act("move in/dir out/dir; write out/dir/i", "0 remove in/dir")
}

// TestWholeTellsOfWhatIsGone_R225 removes directories that nobody has looked at yet, and then all is read.
func TestWholeTellsOfWhatIsGone_R225(t *testing.T) {
	d := openWhole(t, "mkdir a/b/c; write a/b/f; write a/b/c/g; mkdir other/x; write other/x/y", Spec{Path: "a", On: Remove})
	d.act("remove other; remove a/b/c; remove a/b", "0 remove a/b/c/g", "0 remove a/b/c", "0 remove a/b/f", "0 remove a/b")
	d.act("mkdir a/d/e; write a/d/e/f; remove a/d", "0 remove a/d/e/f", "0 remove a/d/e", "0 remove a/d")
}

// TestWholeTellsThatActsAreLost has more done than the kernel keeps; and then, as if that had been among it, the removal of a
// directory is not heard of, and nobody knows where it was.
func TestWholeTellsThatActsAreLost_R093_R225(t *testing.T) {
	d := openWhole(t, "mkdir in", Spec{On: Create}, Spec{Path: "in", On: Remove})
	d.held(func() { d.perform("many n") })
	d.until(func(lines []string) bool {
		return slices.Contains(lines, "0 overflow ") && slices.Contains(lines, "1 overflow in")
	})
	if lines := d.lines(); len(lines) >= manyFiles {
		t.Errorf("%d were reported, and that some were lost", len(lines))
	}
	d.quiet()
	d.owned(func() {
		d.perform("write in/f; remove in/f; remove in")
		d.read()
		d.acts = slices.DeleteFunc(d.acts, act.isDir)
		clear(d.gone)
		d.Whole.take()
	})
	d.want("0 overflow ", "1 overflow in")
}

// TestWholeTellsAllOfAStorm knows what there is by what it is told.
func TestWholeTellsAllOfAStorm(t *testing.T) {
	d := openWhole(t, "", Spec{On: Create | Remove | Rename})
	d.perform("storm 1; storm 2; mkdir end")
	d.until(func(lines []string) bool {
		return len(lines) > 0 && strings.HasPrefix(lines[len(lines)-1], "0 create end")
	})
	told := map[string]bool{}
	for _, c := range d.changes {
		switch c.Op {
		case Create:
			told[c.Path] = true
		case Rename:
			delete(told, c.Old)
			told[c.Path] = true
		case Remove:
			delete(told, c.Path)
		default:
			t.Fatalf("told of %s", c.Op)
		}
	}
	there := map[string]bool{}
	d.must(filepath.WalkDir(d.root, func(path string, _ os.DirEntry, err error) error {
		there[path] = path != d.root
		return err
	}))
	delete(there, d.root)
	if !maps.Equal(told, there) {
		t.Errorf("by what %d changes say there are %v, and there are %v", len(d.changes), slices.Sorted(maps.Keys(told)), slices.Sorted(maps.Keys(there)))
	}
}

// until waits until what was reported is ok.
func (d *desk) until(ok func(lines []string) bool) {
	d.t.Helper()
	for deadline := time.Now().Add(patience); !ok(d.lines()); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			lines := d.lines()
			d.t.Fatalf("%d changes were reported, among them\n\t%s", len(lines), strings.Join(lines[:min(len(lines), 20)], "\n\t"))
		}
	}
}

func TestWholeOwnerAndModeOfTheUnknown(t *testing.T) {
	d := openWhole(t, "write f; write g", Spec{On: Owner | Mode})
	d.act("chmod g; move g h; remove h", "0 owner g merged", "0 mode g merged")
	d.owned(func() { clear(d.known) })
	d.act("chmod f", "0 owner f merged", "0 mode f merged")
	d.act("chown f", "0 owner f")
	d.owned(func() { // as many as there is room for, of which f is none
		clear(d.known)
		for i := range knownMost {
			d.remember(handle(fmt.Sprint(i)), attributes{})
		}
	})
	d.act("touch f", "0 owner f merged", "0 mode f merged")
	known := func(want int) {
		t.Helper()
		d.owned(func() {
			if d.Whole.take(); len(d.known) != want {
				t.Errorf("%d are known, want %d", len(d.known), want)
			}
		})
	}
	known(knownMost)
	d.owned(func() { delete(d.known, "1") })
	d.act("write h; chmod h", "0 owner h merged", "0 mode h merged")
	known(knownMost)
	d.act("remove h")
	known(knownMost - 1)
	d.owned(func() { d.end(0) })
	known(0)
}

// TestWholeBeginsWhenItIsAsked has something done before.
func TestWholeBeginsWhenItIsAsked(t *testing.T) {
	d := openWhole(t, "", Spec{On: Written})
	d.owned(func() {
		d.perform("write f")
		d.begin(&view{id: 1, spec: Spec{Path: d.root, On: Written, Recursive: true}})
		d.perform("write g")
	})
	d.until(func(lines []string) bool { return len(lines) >= 3 })
	for _, line := range d.lines() {
		if strings.HasPrefix(line, "1 written f") {
			t.Error("told of what was before: ", line)
		}
	}
}

// TestWholeTellsOfWhatIsSeen has something done where another file system is mounted over it.
func TestWholeTellsOfWhatIsSeen(t *testing.T) {
	d := openWhole(t, "mkdir hidden; mkdir mnt", Spec{On: Written})
	d.must(syscall.Mount(d.root, d.path("mnt"), "", syscall.MS_BIND, ""))
	t.Cleanup(func() { syscall.Unmount(d.path("mnt"), 0) })
	mounted(t, d.path("hidden"))
	d.act("write hidden/f; write mnt/hidden/g; write h", "0 written h")
	d.Whole.Watch(1, Spec{Path: d.root, On: Mode})
	d.settled()
	d.owned(func() {
		if len(d.known) != 1 {
			t.Errorf("%d are known of one file", len(d.known))
		}
	})
}

// TestWholeThroughAnotherMount looks at a part of a file system where it is mounted once more.
func TestWholeThroughAnotherMount(t *testing.T) {
	d := openWhole(t, "mkdir part/deep; mkdir outside; mkdir mnt")
	d.must(syscall.Mount(d.path("part"), d.path("mnt"), "", syscall.MS_BIND, ""))
	t.Cleanup(func() { syscall.Unmount(d.path("mnt"), 0) })
	d.Whole.Watch(7, Spec{Path: d.path("mnt"), On: Written})
	d.Whole.Watch(8, Spec{Path: d.root, On: Written})
	d.settled()
	d.act("write part/deep/f; write outside/g", "7 written mnt/deep/f", "8 written part/deep/f", "8 written outside/g")
	d.must(syscall.Unmount(d.path("mnt"), 0)) // nobody keeps it
	d.until(func([]string) bool {             // and it is an empty directory now
		d.perform("write mnt/h")
		return slices.ContainsFunc(d.lines(), func(l string) bool { return strings.HasPrefix(l, "7 written mnt/h") })
	})
}

func TestWholeFollowsWhatIsMounted(t *testing.T) {
	d := openWhole(t, "", Spec{On: Create}, Spec{Path: "later/in", On: Written})
	d.want("1 trouble true")
	d.perform("mkdir later/in")
	d.until(func(lines []string) bool { return slices.Contains(lines, "1 trouble false") })
	d.desk.clear()
	d.act("write later/in/f", "0 create later/in/f merged", "1 written later/in/f merged")
	d.must(syscall.Unmount(d.root, 0))
	d.until(func(lines []string) bool { return slices.Contains(lines, "1 trouble true") })
	mounted(t, d.root)
	d.until(func(lines []string) bool {
		d.perform("mkdir later/in; write later/in/g")
		return slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "1 written later/in/g") })
	})
}

// TestWholeMarksWhatIsWanted counts what the kernel is asked for.
func TestWholeMarksWhatIsWanted(t *testing.T) {
	d := openWhole(t, "mkdir a", Spec{On: In}, Spec{Path: "a", On: Out | Owner})
	marks := func() (masks []string) {
		d.owned(func() {
			info, err := os.ReadFile(fmt.Sprint("/proc/self/fdinfo/", d.group))
			d.must(err)
			for _, line := range strings.Split(string(info), "\n") {
				if _, mask, ok := strings.Cut(line, " mask:"); ok {
					masks = append(masks, strings.Fields(mask)[0])
				}
			}
		})
		return masks
	}
	want := func(views string, want ...string) {
		t.Helper()
		if got := marks(); !slices.Equal(got, want) {
			t.Errorf("with views %s, marks are %q, want %q", views, got, want)
		}
	}
	want("0, 1", "58000307") // directories, rename, children; delete, create; attributes, modify, access
	d.Whole.Unwatch(1)
	want("0", "58000201")
	d.Whole.Unwatch(0)
	want("none")
}

func TestWholeNeedsTheFileSystem(t *testing.T) {
	aemtest.Require(t, aemtest.Root, wholes)
	for path, want := range map[string]string{"/proc": "no lasting names", "/nowhere/at/all": "", "/": ""} {
		err := CheckWhole(path)
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}
