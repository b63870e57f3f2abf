package spawn

import (
	"syscall"

	"github.com/aem-exec/aem-exec/internal/sys"
)

const (
	retErrno = sys.SECCOMP_RET_ERRNO
	retKill  = sys.SECCOMP_RET_KILL_PROCESS
)

// answer is a filter with one answer for one system call, and yes for all others.
func answer(nr, action uint32) *Filter {
	return &Filter{Insns: []sys.SockFilter{
		{Code: syscall.BPF_LD | syscall.BPF_W | syscall.BPF_ABS}, // seccomp_data.nr
		{Code: syscall.BPF_JMP | syscall.BPF_JEQ | syscall.BPF_K, JF: 1, K: nr},
		{Code: syscall.BPF_RET | syscall.BPF_K, K: action},
		{Code: syscall.BPF_RET | syscall.BPF_K, K: sys.SECCOMP_RET_ALLOW},
	}}
}

// denyAll is a filter with one answer for every system call.
func denyAll(action uint32) *Filter {
	return &Filter{Insns: []sys.SockFilter{{Code: syscall.BPF_RET | syscall.BPF_K, K: action}}}
}
