package sys

import (
	"os"
	"os/exec"
	"testing"
)

// TestReceiveFrom has a message come from another process, with descriptors that are dropped.
func TestReceiveFrom(t *testing.T) {
	ends, err := SeqpacketPair()
	if err != nil {
		t.Fatal(err)
	}
	defer Close(ends[0])
	if err := PassCredentials(ends[0]); err != nil {
		t.Fatal(err)
	}
	if err := SendDescriptors(ends[1], []byte("own"), []int{0, 1, 2}, false); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", "printf child >&3")
	cmd.ExtraFiles = []*os.File{os.NewFile(uintptr(ends[1]), "channel")}
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	cmd.ExtraFiles[0].Close()
	for _, want := range []struct {
		text string
		pid  int
	}{{"own", os.Getpid()}, {"child", cmd.Process.Pid}} {
		buf := make([]byte, 16)
		n, pid, err := ReceiveFrom(ends[0], buf)
		if string(buf[:n]) != want.text || pid != want.pid || err != nil {
			t.Errorf("%q from %d, %v; want %q from %d", buf[:n], pid, err, want.text, want.pid)
		}
	}
}
