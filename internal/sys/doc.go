// Package sys is the kernel as the project sees it: the system calls, structures and constants it uses beyond what the
// standard library has, each with the man page or the kernel file it comes from. Only this package imports
// golang.org/x/sys/unix.
//
// It decides nothing: no retries but for EINTR, no fallbacks, no names of its own for what the kernel has named.
package sys
