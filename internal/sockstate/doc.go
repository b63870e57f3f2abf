// Package sockstate tells of each change of state of a TCP socket, of whatever process and network namespace, as the
// kernel's tracepoint sock:inet_sock_set_state has it.
//
// It is a BPF program of some eighty instructions, put together here for the kernel that runs, and a ring that it writes
// to. Without somebody who reads nothing is attached. Whom a change concerns is its user's business.
package sockstate
