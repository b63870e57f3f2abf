package directcopy

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// ownImage is the memory of this process.
func ownImage(t *testing.T) *Image {
	t.Helper()
	pidfd, err := sys.PidfdOpen(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close(pidfd)
	i, err := OpenImage(os.Getpid(), pidfd, uint32(os.Geteuid()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Close)
	return i
}

// TestImageWritesWhatAVectorSays writes pieces of any length to places of any length, those of more than one call among
// them, and nothing beside them.
func TestImageWritesWhatAVectorSays(t *testing.T) {
	i := ownImage(t)
	for _, most := range []int{3, 100, 5000, 3 << 20} {
		remote := make([]byte, 8*most+1)
		want := make([]byte, len(remote))
		v := vector{}
		place := 0
		for range 4 {
			place += 1 + rand.IntN(most/2)
			v.to(uint64(uintptr(unsafe.Pointer(&remote[place]))))
			for range 1 + rand.IntN(3) {
				piece := bytes.Repeat([]byte{byte(1 + rand.IntN(255))}, 1+rand.IntN(most/2))
				v.add(piece)
				place += copy(want[place:], piece)
			}
		}
		lengths := 0
		for !v.done() {
			if err := i.write(&v); err != nil {
				t.Fatal(err)
			}
			lengths++
		}
		if !bytes.Equal(remote, want) {
			t.Errorf("pieces up to %d bytes: not as they were, after %d writes", most, lengths)
		}
		if v.short != 0 {
			t.Errorf("%d short writes", v.short)
		}
	}
}

func TestImageOfMoreVectorsThanOneCallTakes(t *testing.T) {
	remote := make([]byte, 3*maxVectors)
	v := vector{}
	v.to(uint64(uintptr(unsafe.Pointer(&remote[0]))))
	for n := range remote {
		v.add([]byte{byte(n)})
	}
	for i := ownImage(t); !v.done(); {
		if err := i.write(&v); err != nil {
			t.Fatal(err)
		}
	}
	for n := range remote {
		if remote[n] != byte(n) {
			t.Fatalf("byte %d is %d", n, remote[n])
		}
	}
}

// awaitProgram waits until a process runs a program. It has its name a little after its memory, and that may come after
// what was to be closed by the exec is: until then a new child has the memory of its parent.
func awaitProgram(t *testing.T, pid int, name string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if string(comm) == name+"\n" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it is no %s but %q (%v)", name, comm, err)
		}
	}
}

// TestImageIsOfOneProgram: what has ended, or is another user's, is refused, and after an exec nothing is written.
func TestImageIsOfOneProgram(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", "read x; exec sleep 600")
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()         //nolint:errcheck // it is killed
	defer cmd.Process.Kill() //nolint:errcheck // it may have ended
	pid := cmd.Process.Pid
	awaitProgram(t, pid, "sh")
	pidfd, err := sys.PidfdOpen(pid)
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close(pidfd)
	if _, err := OpenImage(pid, pidfd, uint32(os.Geteuid()+1)); err == nil || !strings.Contains(err.Error(), "not dumpable") {
		t.Errorf("another user's: %v", err)
	}
	i, err := OpenImage(pid, pidfd, uint32(os.Geteuid()))
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	in.Close() //nolint:errcheck // that is what it waits for
	awaitProgram(t, pid, "sleep")
	v := vector{}
	v.to(0x1000)
	v.add([]byte("x"))
	if err := i.write(&v); !errors.Is(err, ErrImageGone) {
		t.Errorf("after an exec: %v", err)
	}
	cmd.Process.Kill() //nolint:errcheck // as above
	cmd.Wait()         //nolint:errcheck // as above
	if _, err := OpenImage(pid, pidfd, uint32(os.Geteuid())); err == nil {
		t.Error("the memory of a process that has ended was opened")
	}
}
