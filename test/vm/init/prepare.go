package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"unsafe"
)

// mounts are the file systems that programs expect; cgroup2 as systemd mounts it.
var mounts = []struct{ dir, fs, options string }{
	{"/dev", "devtmpfs", ""},
	{"/proc", "proc", ""},
	{"/sys", "sysfs", ""},
	{"/sys/fs/cgroup", "cgroup2", "nsdelegate,memory_recursiveprot"},
	{"/tmp", "tmpfs", "mode=1777"},
	{"/run", "tmpfs", "mode=755"},
	{"/dev/shm", "tmpfs", "mode=1777"},
}

// prepare makes of the initramfs a system.
func prepare() error {
	if err := leaveRootfs(); err != nil {
		return fmt.Errorf("leave the first root: %w", err)
	}
	for _, m := range mounts {
		if err := os.MkdirAll(m.dir, 0o755); err != nil {
			return err
		}
		if err := syscall.Mount(m.fs, m.dir, m.fs, 0, m.options); err != nil {
			return fmt.Errorf("mount %s: %w", m.dir, err)
		}
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &descriptors); err != nil {
		return fmt.Errorf("set limit of descriptors: %w", err)
	}
	return loopbackUp()
}

// descriptors is the limit that systemd gives services; a bare kernel's own is 4096, of which two supervisors take most.
var descriptors = syscall.Rlimit{Cur: 1024, Max: 524288}

// leaveRootfs moves to a root that can be left, as pivot_root(2) and containers do, which the first one of a kernel
// cannot be: the same files, as a mount over it.
func leaveRootfs() error {
	const place = "/run"
	return errors.Join(
		syscall.Mount("/", place, "", syscall.MS_BIND, ""),
		os.Chdir(place),
		syscall.Mount(".", "/", "", syscall.MS_MOVE, ""),
		syscall.Chroot("."),
		os.Chdir("/"),
	)
}

// load loads a kernel module; the kernel unpacks those that are compressed (man 2 finit_module, Linux 5.17).
func load(file string) error {
	const (
		finitModule    = 313 // of amd64
		compressedFile = 4   // MODULE_INIT_COMPRESSED_FILE, linux/module.h
	)
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	flags := uintptr(0)
	if !strings.HasSuffix(file, ".ko") {
		flags = compressedFile
	}
	parameters := []byte{0}
	if _, _, errno := syscall.Syscall(finitModule, f.Fd(), uintptr(unsafe.Pointer(&parameters[0])), flags); errno != 0 {
		return errno
	}
	return nil
}

// loopbackUp gives the guest its one network: ifreq of man 7 netdevice.
func loopbackUp() error {
	s, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(s)
	request := struct {
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}{name: [syscall.IFNAMSIZ]byte{'l', 'o'}, flags: syscall.IFF_UP}
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(s), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return fmt.Errorf("bring the loopback up: %w", errno)
	}
	return nil
}
