package filewatch

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/internal/aemtest"
)

func TestMain(m *testing.M) {
	if acts, ok := os.LookupEnv(actsEnv); ok {
		performs(acts)
		return
	}
	aemtest.NoLeaks(m)
}

var patience = aemtest.Slow(20 * time.Second)

// desk is where a watcher under test reports to.
type desk struct {
	*Watcher
	t    testing.TB
	root string

	mu      sync.Mutex // guards what follows
	changes []Change
	told    []string      // of trouble, as lines
	slow    chan struct{} // while set, reports wait for it
}

// open starts a watcher on a new directory, with the views' numbers as they come.
func open(t *testing.T, specs ...Spec) *desk {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, root: root}
	if d.Watcher, err = New(d.take, d.troubled); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	for i, s := range specs {
		s.Path = filepath.Join(root, s.Path)
		d.Watch(uint64(i), s)
	}
	d.Wait()
	return d
}

func (d *desk) take(batch []Change) {
	d.mu.Lock()
	slow := d.slow
	d.changes = append(d.changes, batch...)
	d.mu.Unlock()
	if slow != nil {
		<-slow
	}
}

// lines are the changes as text, with paths below the root.
func (d *desk) lines() (lines []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	short := func(p string) string { return strings.TrimPrefix(strings.TrimPrefix(p, d.root), "/") }
	for _, c := range d.changes {
		line := fmt.Sprint(c.View, " ", c.Op, " ", short(c.Path))
		if c.Old != "" {
			line += " was " + short(c.Old)
		}
		if c.Found {
			line += " found"
		}
		if c.Merged {
			line += " merged"
		}
		if c.PID != 0 {
			line += fmt.Sprint(" by ", c.PID)
		}
		lines = append(lines, line)
	}
	return append(d.told[:len(d.told):len(d.told)], lines...)
}

func (d *desk) troubled(view uint64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.told = append(d.told, fmt.Sprint(view, " trouble ", err != nil))
}

// want waits until exactly these changes were reported.
func (d *desk) want(want ...string) {
	d.t.Helper()
	var got []string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if got = d.lines(); len(got) >= len(want) {
			break
		}
	}
	time.Sleep(3 * moveWait) // in which nothing more may come
	if got = d.lines(); !slices.Equal(got, want) {
		d.t.Fatalf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
	d.clear()
}

// quiet forgets what was reported, when nothing more comes.
func (d *desk) quiet() {
	for n := -1; n != len(d.lines()); time.Sleep(3 * moveWait) {
		n = len(d.lines())
	}
	d.clear()
}

func (d *desk) clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changes, d.told = nil, nil
}

func (d *desk) path(name string) string { return filepath.Join(d.root, name) }

func (d *desk) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) write(name string) {
	d.t.Helper()
	d.must(os.WriteFile(d.path(name), []byte("x"), 0o644))
}
func (d *desk) mkdir(name string) { d.t.Helper(); d.must(os.MkdirAll(d.path(name), 0o755)) }
func (d *desk) move(old, name string) {
	d.t.Helper()
	d.must(os.Rename(d.path(old), d.path(name)))
}

const all = Op(1<<10 - 1)

func TestEachOperation_R225(t *testing.T) {
	d := open(t, Spec{On: all})
	d.write("f")
	d.want("0 create f", "0 open f", "0 out f", "0 close f", "0 written f")
	_, err := os.ReadFile(d.path("f"))
	d.must(err)
	d.want("0 open f", "0 in f", "0 close f")
	d.must(os.Chmod(d.path("f"), 0o600))
	d.want("0 mode f")
	d.must(os.Chtimes(d.path("f"), time.Now(), time.Now())) // no operation of ours
	d.move("f", "g")
	d.want("0 rename g was f")
	d.must(os.Remove(d.path("g")))
	d.want("0 remove g")
}

func TestOwner_R225(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	d := open(t, Spec{On: Create | Owner | Mode})
	d.write("f")
	d.want("0 create f") // whose it was then
	d.must(os.Chown(d.path("f"), 65534, 65534))
	d.want("0 owner f")
}

func TestViewsGetWhatTheyAskFor(t *testing.T) {
	d := open(t, Spec{On: Create}, Spec{On: Written, Match: []string{"*.csv"}}, Spec{On: Create, Recursive: true, Match: []string{"in/*"}})
	d.mkdir("in")
	d.settledIn("in")
	d.mkdir("in/deep")
	d.want("0 create in", "2 create in/deep")
	d.write("in/a.csv")
	d.write("b.csv")
	d.write("c.txt")
	d.want("2 create in/a.csv", "0 create b.csv", "1 written b.csv", "0 create c.txt")
	d.Unwatch(0)
	d.Wait()
	d.write("d.csv")
	d.want("1 written d.csv")
}

func TestRenameAcrossWhatIsMeant(t *testing.T) {
	d := open(t, Spec{On: Create | Written | Remove | Rename, Match: []string{"*.csv"}})
	d.write("tmp")
	d.move("tmp", "a.csv") // a file that is complete when it has its name
	d.want("0 create a.csv", "0 written a.csv")
	d.move("a.csv", "b.csv")
	d.want("0 rename b.csv was a.csv")
	d.move("b.csv", "tmp")
	d.want("0 remove b.csv")
	elsewhere := t.TempDir()
	d.write("c.csv")
	d.want("0 create c.csv", "0 written c.csv")
	d.must(os.Rename(d.path("c.csv"), filepath.Join(elsewhere, "c.csv")))
	d.want("0 remove c.csv")
	d.must(os.Rename(filepath.Join(elsewhere, "c.csv"), d.path("c.csv")))
	d.want("0 create c.csv", "0 written c.csv")
}

func TestTreeIsFollowedThroughRenames(t *testing.T) {
	d := open(t, Spec{On: Written | Rename | Remove, Recursive: true})
	d.mkdir("a/b/c")
	d.settledIn("a/b/c")
	d.move("a/b", "z")
	d.want("0 rename z was a/b")
	d.write("z/c/f")
	d.want("0 written z/c/f")
	d.must(os.RemoveAll(d.path("z")))
	d.want("0 remove z/c/f", "0 remove z/c", "0 remove z")
	d.mkdir("z")
	d.write("z/g")
	d.wantOnce("0 written z/g")
}

// settledIn waits until a directory is watched.
func (d *desk) settledIn(name string) {
	d.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		var there bool
		done := make(chan struct{})
		d.Ask(func() { there = d.paths[d.path(name)] != nil; close(done) })
		if <-done; there {
			return
		}
	}
	d.t.Fatalf("%s is not watched", name)
}

// wantOnce waits for a change that a record and reading the directory may both tell of: of what is complete it is better
// to tell twice than never.
func (d *desk) wantOnce(want string) {
	d.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if got := d.lines(); len(got) > 0 {
			for _, line := range got {
				if strings.TrimSuffix(line, " found") != want {
					d.t.Fatalf("got %q, want %q", got, want)
				}
			}
			return
		}
	}
	d.t.Fatalf("nothing came, want %q", want)
}

func TestExisting(t *testing.T) {
	d := open(t)
	d.mkdir("in/deep")
	d.write("in/f")
	d.write("in/deep/g")
	d.Watch(7, Spec{Path: d.path("in"), On: Create, Recursive: true, Existing: true})
	d.want("7 existing in/deep", "7 existing in/f", "7 existing in/deep/g")
	d.List(7)
	d.want("7 existing in/deep", "7 existing in/f", "7 existing in/deep/g")
}

func TestOneFile(t *testing.T) {
	d := open(t, Spec{Path: "conf", On: Written | Create | Remove | Rename})
	d.write("other")
	d.write("conf")
	d.want("0 create conf", "0 written conf")
	d.write("conf.new")
	d.move("conf.new", "conf") // as editors save
	d.want("0 create conf", "0 written conf")
	d.must(os.Remove(d.path("conf")))
	d.want("0 remove conf")
}

func TestPathThatComesAndGoes(t *testing.T) {
	d := open(t, Spec{Path: "a/b", On: Written})
	d.want("0 trouble true")
	d.mkdir("a")
	d.want("0 trouble false")
	d.mkdir("a/b")
	d.write("a/b/f")
	d.wantOnce("0 written a/b/f")
	d.quiet()
	d.must(os.RemoveAll(d.path("a/b")))
	d.want("0 trouble true", "0 trouble false") // its parent is there to watch for it
	d.mkdir("a/b")
	d.write("a/b/g")
	d.wantOnce("0 written a/b/g")
}

// TestNothingIsMissedInNewDirectories makes directories and files in them as fast as it can: each is reported, by a
// record or by reading.
func TestNothingIsMissedInNewDirectories(t *testing.T) {
	const directories, files = 300, 20
	d := open(t, Spec{On: Create, Recursive: true})
	want := map[string]bool{}
	for i := range directories {
		dir := fmt.Sprintf("d%d/e", i)
		d.mkdir(dir)
		want[filepath.Dir(dir)], want[dir] = true, true
		for j := range files {
			name := fmt.Sprintf("%s/f%d", dir, j)
			d.write(name)
			want[name] = true
		}
	}
	d.reported(want)
}

// reported waits until each path was reported as created, exactly once, and returns whether records were lost.
func (d *desk) reported(want map[string]bool) (overflow bool) {
	d.t.Helper()
	seen := map[string]int{}
	for deadline := time.Now().Add(patience); len(seen) < len(want) && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		d.mu.Lock()
		for _, c := range d.changes {
			if overflow = overflow || c.Op == Overflow; c.Op == Create {
				seen[strings.TrimPrefix(c.Path, d.root+"/")]++
			}
		}
		d.changes = nil
		d.mu.Unlock()
	}
	for name := range want {
		if seen[name] != 1 {
			d.t.Fatalf("%s was reported %d times; %d of %d paths were", name, seen[name], len(seen), len(want))
		}
	}
	return overflow
}

// TestOverflowIsAnsweredByReadingAgain holds the reports until the kernel's queue is full.
func TestOverflowIsAnsweredByReadingAgain(t *testing.T) {
	const entries = 30_000 // the queue has 16384, and what was read ahead about 8000
	d := open(t, Spec{On: Create | Remove})
	d.mu.Lock()
	d.slow = make(chan struct{})
	d.mu.Unlock()
	want := map[string]bool{}
	for i := range entries {
		name := fmt.Sprintf("f%d", i)
		d.must(syscall.Mknod(d.path(name), syscall.S_IFREG|0o644, 0))
		want[name] = true
	}
	d.mu.Lock()
	close(d.slow)
	d.slow = nil
	d.mu.Unlock()
	if !d.reported(want) {
		for deadline := time.Now().Add(patience); !slices.Contains(d.lines(), "0 overflow "); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("nobody was told that records were lost")
			}
		}
	}
}
