// Package procwatch tells how processes end, children or not: one by its pid or the pid in a file, or all that run a
// program or live in a cgroup.
//
// # Flow
//
// One goroutine owns everything. It waits for two kinds of descriptors:
//
//   - the kernel's process connector (linux/cn_proc.h), where there is permission for it: each fork, exec and exit on
//     the host, in order, and how it ended before its parent knows;
//   - without it, a pidfd for each process that is watched by its pid: it tells that the process is over, and how as soon
//     as its parent has waited for it, on kernels that keep that (PIDFD_GET_INFO).
//
// A process is its pid and the tick that it began at: a pid that is used again is another process. What a process runs
// and where it lives is read when it begins and executes, because a process that is over has neither. When the
// connector had no room, everything is compared with /proc, and who watches programs or cgroups is told that some may
// have ended unseen.
//
// The package knows nothing of events, jobs or handlers.
package procwatch
