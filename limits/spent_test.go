package limits

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// TestLeafMadeAgainAfterKillHoldsProcesses: a leaf that was killed once killed every process that was born into it
// later, too, and its slot never served again.
func TestLeafMadeAgainAfterKillHoldsProcesses(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	tree, err := OpenTree("aem-test-spent-" + strconv.Itoa(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	group, err := tree.Group("a", Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := group.Remove(); err != nil {
			t.Error(err)
		}
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
	}()
	if !group.Kills() {
		t.Fatal("this host has no leaves")
	}
	for range 3 {
		leaf, err := group.Leaf("0")
		if err != nil {
			t.Fatal(err)
		}
		if leaf.Into() < 0 {
			t.Fatal("this host has no unified tree")
		}
		born := exec.Command("/bin/true")
		born.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: leaf.Into()}
		if err := born.Run(); err != nil {
			t.Fatalf("a process born into the leaf: %v", err)
		}
		if err := leaf.Kill(); err != nil {
			t.Fatal(err)
		}
		if !leaf.Spent() {
			t.Fatal("a killed leaf is not spent")
		}
		if err := leaf.Remove(); err != nil {
			t.Fatal(err)
		}
	}
}
