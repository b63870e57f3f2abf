package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// MmapShared maps size bytes of a file for reading and writing (man 2 mmap). Its pages come with the first touch, or
// with Populate.
func MmapShared(fd, size int) ([]byte, error) { return mmap(fd, size, unix.MAP_SHARED) }

// MmapAnonymous maps size bytes of private zero memory. Its pages come with the first touch, or with Populate.
func MmapAnonymous(size int) ([]byte, error) {
	return mmap(-1, size, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
}

func mmap(fd, size, flags int) ([]byte, error) {
	p, err := unix.MmapPtr(fd, 0, nil, uintptr(size), unix.PROT_READ|unix.PROT_WRITE, flags)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(p), size), nil
}

// Munmap ends a mapping made here. Nothing may use its bytes from then on.
func Munmap(b []byte) error {
	return unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b)))
}

// AdviseHugepage asks for huge pages in an aligned range (man 2 madvise, MADV_HUGEPAGE).
func AdviseHugepage(b []byte) error { return unix.Madvise(b, unix.MADV_HUGEPAGE) }

// Populate makes the pages of a range present and writable (man 2 madvise, MADV_POPULATE_WRITE, Linux 5.14).
func Populate(b []byte) error { return unix.Madvise(b, unix.MADV_POPULATE_WRITE) }
