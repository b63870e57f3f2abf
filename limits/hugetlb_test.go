package limits

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/internal/aemtest"
)

const (
	hugePage  = 2 << 20
	hugeCount = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
)

// pages is the feature of having n huge pages that nobody uses.
func pages(t *testing.T, n int) {
	t.Helper()
	aemtest.Require(t, aemtest.Root, aemtest.Feature{Name: "huge pages", Probe: func() error {
		_, err := os.Stat(hugeCount)
		return err
	}})
	before, err := os.ReadFile(hugeCount)
	if err != nil {
		t.Fatal(err)
	}
	had, _ := strconv.Atoi(strings.TrimSpace(string(before)))
	t.Cleanup(func() { os.WriteFile(hugeCount, before, 0) })
	if err := os.WriteFile(hugeCount, []byte(strconv.Itoa(had+n)), 0); err != nil {
		t.Fatal(err)
	}
}

// huge takes huge pages one after the other, and says so after each.
func huge() {
	const n = 4
	all, err := syscall.Mmap(-1, 0, n*hugePage, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_PRIVATE|syscall.MAP_ANON|syscall.MAP_HUGETLB)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range n {
		all[i*hugePage] = 1
		fmt.Println(i + 1)
	}
}

func TestHugePagesAreLimited(t *testing.T) {
	limit := Limits{HugeTLB: []HugeTLB{{"2MB", 2 * hugePage}}}
	aemtest.Require(t, enforces(limit))
	pages(t, 8)
	g := group(t, limit)
	cmd, out := start(t, leaf(t, g, "a"), "huge", os.Args[0])
	if got := strings.Fields(rest(t, out)); len(got) < 2 || got[0] != "1" || got[1] != "2" || strings.Contains(strings.Join(got, " "), " 3") {
		t.Errorf("it said %q, want two pages and an end", got)
	}
	cmd.Wait()
	if cmd.ProcessState.Success() {
		t.Error("it ended well")
	}
	if n := hits(t, g)[`hugetlb."2MB"`]; n == 0 {
		t.Error("no hit of the limit")
	}
	if f := g.Figures(); f["hugetlb_2MB_max_hits"] == 0 {
		t.Errorf("figures %v", f)
	}
}

func TestHugePagesOfASizeThatIsNotThereAreRefused(t *testing.T) {
	limit := Limits{HugeTLB: []HugeTLB{{"3MB", 0}}}
	aemtest.Require(t, aemtest.Root, enforces(limit))
	tree, err := OpenTree(testName())
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	if _, err := tree.Group("app", limit); err == nil || !strings.Contains(err.Error(), "enforce hugetlb: ") {
		t.Errorf("%v", err)
	}
}

// TestRawFileLimits writes a file that has no key: what may be reserved of huge pages.
func TestRawFileLimits(t *testing.T) {
	limit := Limits{Unified: []Raw{{"hugetlb.2MB.rsvd.max", "2097152"}}}
	aemtest.Require(t, enforces(limit))
	pages(t, 8)
	g := group(t, limit)
	cmd, out := start(t, leaf(t, g, "a"), "huge", os.Args[0])
	if got := rest(t, out); got != "cannot allocate memory" {
		t.Errorf("it said %q", got)
	}
	cmd.Wait()
}

func TestRawFileThatTheKernelRefuses(t *testing.T) {
	aemtest.Require(t, aemtest.Root, unifiedController)
	tree, err := OpenTree(testName())
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	for _, r := range []Raw{{"hugetlb.2MB.rsvd.max", "lots"}, {"memory.nothing", "1"}, {"memory.zswap.max", "lots"}} {
		if _, err := tree.Group("app", Limits{Unified: []Raw{r}}); err == nil || !strings.HasPrefix(err.Error(), "enforce unified: ") {
			t.Errorf("%v: %v", r, err)
		}
	}
}
