package guest

import (
	"fmt"
	"io"
)

// archive writes an initramfs: cpio in its "newc" form (Linux, Documentation/driver-api/early-userspace/buffer-format.rst).
type archive struct {
	w     io.Writer
	inode int
	err   error // the first one; nothing is written after it
}

// The types of a file in its mode (man 7 inode).
const (
	typeDirectory = 0o040000
	typeFile      = 0o100000
	typeLink      = 0o120000
)

// entry writes one file, of root. The directories above it have to come before.
func (a *archive) entry(name string, mode uint32, data []byte) {
	const links = 1
	a.inode++
	head := "070701"
	for _, field := range []int{a.inode, int(mode), 0, 0, links, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0} {
		head += fmt.Sprintf("%08x", field)
	}
	a.padded([]byte(head + name + "\x00"))
	a.padded(data)
}

// padded writes up to a multiple of four bytes.
func (a *archive) padded(b []byte) {
	zeros := make([]byte, -len(b)&3)
	for _, part := range [][]byte{b, zeros} {
		if a.err == nil {
			_, a.err = a.w.Write(part)
		}
	}
}

// end writes the entry that ends an archive.
func (a *archive) end() error {
	a.entry("TRAILER!!!", 0, nil)
	return a.err
}
