package limits

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// grow takes 48 MiB of memory, and says how long that took in milliseconds.
func grow() {
	began := time.Now()
	all, err := syscall.Mmap(-1, 0, 48<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := 0; i < len(all); i += 4096 {
		all[i] = 1
	}
	fmt.Println(time.Since(began).Milliseconds())
}

// TestMemoryHighSlowsDown: cgroup v1 has nothing like it, and says so.
func TestMemoryHighSlowsDown(t *testing.T) {
	limit := Limits{MemoryHigh: 40 << 20}
	aemtest.Require(t, aemtest.Root, groups)
	tree, err := OpenTree(testName())
	if err != nil {
		t.Fatal(err)
	}
	if h, err := tree.controls("memory"); err != nil {
		t.Fatal(err)
	} else if !h.unified {
		var missing *MissingError
		_, err := tree.Group("app", limit)
		if !errors.As(err, &missing) || missing.Limits[0] != "memory_high" || !strings.Contains(err.Error(), "in cgroup v1, at "+h.home+", it has no memory.high") {
			t.Errorf("refused with %v", err)
		}
		return
	}
	g := group(t, limit)
	cmd, out := start(t, leaf(t, g, "a"), "grow", os.Args[0])
	if ms := said(t, out); ms < 500 { // without the limit it takes a tenth of that
		t.Errorf("48 MiB above a limit of 40 MiB in %d ms", ms)
	}
	cmd.Wait()
	if n := hits(t, g)["memory_high"]; n == 0 {
		t.Error("the kernel has counted nothing")
	}
}

// lazy takes pieces of memory that the kernel may have back whenever it wants to, until it is ended: without swap nothing
// else of a process can be taken.
func lazy() {
	const piece, free = 4 << 20, 8 // MADV_FREE, man 2 madvise
	pieces, _ := strconv.Atoi(os.Args[1])
	for range pieces {
		all, err := syscall.Mmap(-1, 0, piece, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
		if err != nil {
			fmt.Println(err)
			return
		}
		for i := 0; i < len(all); i += 4096 {
			all[i] = 1
		}
		if err := syscall.Madvise(all, free); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println("done")
	time.Sleep(time.Hour)
}

// TestMemoryLowProtects has one group want all the memory there is for both.
func TestMemoryLowProtects(t *testing.T) {
	const low = 40 << 20
	g := group(t, Limits{MemoryLow: low})
	p := g.limited["memory_low"]
	if !p.unified { // only a machine that is short of memory would show it
		text, err := os.ReadFile(filepath.Join(p.dir, "memory.soft_limit_in_bytes"))
		if got := strings.TrimSpace(string(text)); err != nil || got != fmt.Sprint(low) {
			t.Errorf("%q, %v", got, err)
		}
		return
	}
	if err := write(filepath.Dir(p.dir), "memory.max", fmt.Sprint(64<<20)); err != nil {
		t.Fatal(err)
	}
	other, err := g.tree.Group("other", Limits{MemoryLow: 4096})
	if err != nil {
		t.Fatal(err)
	}
	ours, out := start(t, leaf(t, g, "a"), "lazy", os.Args[0], "7")
	until(t, out, "done")
	before := current(t, p)
	theirs, out := start(t, leaf(t, other, "a"), "lazy", os.Args[0], "40")
	until(t, out, "done")
	if after := current(t, p); before < 28<<20 || after < before/10*9 {
		t.Errorf("%d bytes before, %d after another group wanted all there is", before, after)
	}
	for _, l := range []*Leaf{g.leaves["a"], other.leaves["a"]} {
		l.Kill()
		waitEmpty(t, l)
	}
	ours.Wait()
	theirs.Wait()
	if err := other.Remove(); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(filepath.Join(filepath.Dir(p.dir), "memory.low")); err != nil || strings.TrimSpace(string(text)) != fmt.Sprint(low) {
		t.Errorf("what is above protects %q, %v", text, err)
	}
}

// current is the memory of a group.
func current(t *testing.T, p *place) int64 {
	t.Helper()
	path := filepath.Join(p.dir, "memory.current")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n, err := parseNumber(path, string(text))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
