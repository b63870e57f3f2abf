package sys

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Filter flags of SECCOMP_SET_MODE_FILTER (man 2 seccomp, linux/seccomp.h).
const (
	SECCOMP_FILTER_FLAG_TSYNC              = unix.SECCOMP_FILTER_FLAG_TSYNC              // Linux 3.17
	SECCOMP_FILTER_FLAG_LOG                = unix.SECCOMP_FILTER_FLAG_LOG                // Linux 4.14
	SECCOMP_FILTER_FLAG_SPEC_ALLOW         = unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW         // Linux 4.17
	SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV // Linux 5.19
)

// Answers of a filter: the action in the high half, its data in the low half (linux/seccomp.h).
const (
	SECCOMP_RET_KILL_PROCESS = unix.SECCOMP_RET_KILL_PROCESS
	SECCOMP_RET_KILL_THREAD  = unix.SECCOMP_RET_KILL_THREAD
	SECCOMP_RET_TRAP         = unix.SECCOMP_RET_TRAP
	SECCOMP_RET_ERRNO        = unix.SECCOMP_RET_ERRNO
	SECCOMP_RET_TRACE        = unix.SECCOMP_RET_TRACE
	SECCOMP_RET_LOG          = unix.SECCOMP_RET_LOG
	SECCOMP_RET_ALLOW        = unix.SECCOMP_RET_ALLOW
	SECCOMP_RET_ACTION_FULL  = unix.SECCOMP_RET_ACTION_FULL
	SECCOMP_RET_DATA         = unix.SECCOMP_RET_DATA
)

// Architectures as seccomp_data.arch and audit records name them (linux/audit.h).
const (
	AUDIT_ARCH_X86_64  = unix.AUDIT_ARCH_X86_64
	AUDIT_ARCH_I386    = unix.AUDIT_ARCH_I386
	AUDIT_ARCH_AARCH64 = unix.AUDIT_ARCH_AARCH64
	AUDIT_ARCH_ARM     = unix.AUDIT_ARCH_ARM
)

// X32_SYSCALL_BIT marks the x32 system calls, which share AUDIT_ARCH_X86_64 (__X32_SYSCALL_BIT, asm/unistd.h).
const X32_SYSCALL_BIT = 0x40000000

// BPF_MAXINSNS is the longest program a filter may be (linux/bpf_common.h).
const BPF_MAXINSNS = unix.BPF_MAXINSNS

// SockFilter is one instruction of a classic BPF program (struct sock_filter, linux/filter.h).
type SockFilter struct {
	Code   uint16
	JT, JF uint8
	K      uint32
}

// SockFprog is a program as seccomp(2) takes it (struct sock_fprog, linux/filter.h).
type SockFprog struct {
	Len    uint16
	Filter *SockFilter
}

var (
	_ [unix.SizeofSockFilter]byte = [unsafe.Sizeof(SockFilter{})]byte{}
	_ [unix.SizeofSockFprog]byte  = [unsafe.Sizeof(SockFprog{})]byte{}
)

// SetNoNewPrivs keeps the calling thread and what it executes from gaining privileges, which SeccompFilter requires of
// callers without CAP_SYS_ADMIN (man 2 PR_SET_NO_NEW_PRIVS).
func SetNoNewPrivs() error {
	return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}

// SeccompFilter puts a filter on the calling thread, for good (man 2 seccomp, SECCOMP_SET_MODE_FILTER).
func SeccompFilter(program []SockFilter, flags uint32) error {
	prog := SockFprog{Len: uint16(len(program)), Filter: unsafe.SliceData(program)}
	tid, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(flags), uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(program)
	switch {
	case errno != 0:
		return errno
	case tid != 0: // TSYNC answers with the thread that could not follow
		return fmt.Errorf("thread %d has a filter of its own", tid)
	}
	return nil
}
