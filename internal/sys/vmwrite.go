package sys

import "golang.org/x/sys/unix"

// Iovec names bytes of this process, as struct iovec of <sys/uio.h>.
type Iovec = unix.Iovec

// RemoteIovec names bytes of another process. Its base is a number, not a pointer: it means nothing here.
type RemoteIovec = unix.RemoteIovec

// ProcessVMWritev writes local bytes into the memory of process pid (man 2 process_vm_writev). It may write less than
// asked. It enters the kernel as a system call that may block: the target's page can be one that never comes.
func ProcessVMWritev(pid int, local []Iovec, remote []RemoteIovec) (int, error) {
	return unix.ProcessVMWritev(pid, local, remote, 0)
}
