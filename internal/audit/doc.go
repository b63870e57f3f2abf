// Package audit reads the kernel's records of system calls that a seccomp filter judged, so that a violation can be
// told by the name of its system call: the status of a killed process has only SIGSYS.
//
// Which answers of a filter leave a record, seen on Linux 6.18 with every action in
// /proc/sys/kernel/seccomp/actions_logged and no audit daemon:
//
//	SECCOMP_RET_KILL_PROCESS, KILL_THREAD   always, with the signal 31 (SIGSYS)
//	SECCOMP_RET_LOG                         always, with the signal 0
//	SECCOMP_RET_TRAP, ERRNO, TRACE          with SECCOMP_FILTER_FLAG_LOG only, with the signal 0
//	SECCOMP_RET_ALLOW                       never
//
// An action that the administrator took out of actions_logged leaves none (kernel/seccomp.c, seccomp_log). Nor does a
// kernel booted with audit=0, and where an audit daemon runs its rules may exclude records. The kernel sends them to
// readers in its first network namespace only (kernel/audit.c, kauditd_send_multicast_skb), and process ids are those
// of the first pid namespace.
//
// The package does not wait, does not name system calls, and does not decide whose the process was.
package audit
