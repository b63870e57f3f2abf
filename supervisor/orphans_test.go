package supervisor

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"
)

// TestDeafToTheEndsOfChildren has a child end while nobody wants to know, and one afterwards.
func TestDeafToTheEndsOfChildren(t *testing.T) {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	defer signal.Stop(ended)
	child := func() {
		if err := exec.Command("/bin/true").Run(); err != nil { // it is still there to be waited for
			t.Fatal(err)
		}
	}
	hear := deaf()
	child()
	select {
	case <-ended:
		t.Error("told of a child's end")
	case <-time.After(100 * time.Millisecond):
	}
	hear()
	child()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("not told of a child's end")
	}
}
