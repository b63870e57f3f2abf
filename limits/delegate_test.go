package limits

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// delegated is a supervisor that starts in a group handed to it, as systemd does with Delegate=yes.
func delegated() {
	show := func(step string, err error) {
		own, _ := os.ReadFile("/proc/self/cgroup")
		lines := strings.Split(strings.TrimSpace(string(own)), "\n")
		fmt.Println(step, filepath.Base(lines[len(lines)-1]), err) // the unified tree comes last
	}
	tree, err := OpenTree("aem")
	show("open", err)
	h := tree.hierarchies[0]
	err = makeGroup(filepath.Join(h.home, "aem"))
	show("make", err)
	show("delegate", tree.delegate(h, h.controllers[0]))
	again, err := OpenTree("aem")
	show("again", err)
	fmt.Println(again.hierarchies[0].home == h.home)
	show("close", tree.Close())
}

var unifiedController = aemtest.Feature{Name: "a controller in the unified tree", Probe: func() error {
	tree, err := OpenTree(testName())
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(tree.hierarchies, func(h *hierarchy) bool { return h.unified && len(h.controllers) > 0 }) {
		return errors.New("there is none")
	}
	return nil
}}

func TestSupervisorMovesIntoItsOwnLeaf(t *testing.T) {
	aemtest.Require(t, aemtest.Root, unifiedController)
	tree, err := OpenTree(testName())
	if err != nil {
		t.Fatal(err)
	}
	h := tree.hierarchies[0]
	before, err := os.ReadFile(filepath.Join(h.home, "cgroup.subtree_control"))
	if err = errors.Join(err, tree.moveOut(h), enable(h.home, h.controllers[0])); err != nil {
		t.Fatal(err)
	}
	defer tree.Close() // this test may itself have been moved
	if !slices.Contains(strings.Fields(string(before)), h.controllers[0]) {
		defer write(h.home, "cgroup.subtree_control", "-"+h.controllers[0])
	}
	home := filepath.Join(h.home, testName())
	if err := os.Mkdir(home, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(home)
	fd, err := descriptor(home, syscall.O_RDONLY)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	got := child(t, "delegated", &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: fd})
	own := filepath.Base(home)
	want := fmt.Sprintf("open %s <nil>\nmake %[1]s <nil>\ndelegate aem-supervisor <nil>\nagain aem-supervisor <nil>\ntrue\nclose %[1]s <nil>\n", own)
	if got != want {
		t.Errorf("moved\n%swant\n%s", got, want)
	}
}

// TestMoveOutSparesOthers: the supervisor does not move processes that are not its own.
func TestMoveOutSparesOthers(t *testing.T) {
	dir, mountinfo := fixture(t, map[string]string{
		"cgroup.procs": fmt.Sprintf("1\n%d\n", os.Getpid()), "cgroup.type": "domain\n", "cgroup.controllers": "memory\n",
	})
	tree, err := openTree("aem", "0::/\n", mountinfo, "")
	if err != nil {
		t.Fatal(err)
	}
	err = tree.moveOut(tree.hierarchies[0])
	if want := dir + " has other processes than the supervisor, which needs a group of its own (systemd: Delegate=yes)"; err == nil || err.Error() != want {
		t.Errorf("moved out with %v, want %s", err, want)
	}
}
