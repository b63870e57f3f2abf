package directcopy

import (
	"bytes"
	"errors"
	"os/exec"
	"syscall"
	"testing"
	"unsafe"
)

func address(b []byte) uint64 { return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }

// TestWriteLong needs several calls: more vectors than one takes, and more bytes.
func TestWriteLong(t *testing.T) {
	var local [][]byte
	for i := range 3000 {
		local = append(local, bytes.Repeat([]byte{byte(i)}, i))
	}
	want := bytes.Join(local, nil)
	got := make([]byte, len(want))
	n, err := Write(self, address(got), local)
	if n != len(want) || err != nil || !bytes.Equal(got, want) {
		t.Errorf("wrote %d of %d, %v, equal %t", n, len(want), err, bytes.Equal(got, want))
	}
}

// TestWriteHole tells how much arrived before a page that is not to be written.
func TestWriteHole(t *testing.T) {
	const page = 4096
	pages, err := syscall.Mmap(-1, 0, 3*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	check(t, err)
	defer syscall.Munmap(pages)
	for _, hole := range []struct {
		name string
		make func() error
	}{
		{"read-only", func() error { return syscall.Mprotect(pages[page:2*page], syscall.PROT_READ) }},
		{"none", func() error { return syscall.Mprotect(pages[page:2*page], syscall.PROT_NONE) }},
	} {
		check(t, hole.make())
		n, err := Write(self, address(pages)+page-100, [][]byte{make([]byte, 60), make([]byte, 2*page)})
		if n != 100 || !errors.Is(err, syscall.EFAULT) {
			t.Errorf("%s: wrote %d, %v, want 100 and EFAULT", hole.name, n, err)
		}
	}
}

func TestWriteToNobody(t *testing.T) {
	cmd := exec.Command("/bin/true")
	check(t, cmd.Run())
	n, err := Write(cmd.Process.Pid, 1<<20, [][]byte{{1}})
	if n != 0 || !errors.Is(err, syscall.ESRCH) {
		t.Errorf("wrote %d, %v, want 0 and ESRCH", n, err)
	}
}
