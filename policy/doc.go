// Package policy holds what a handler may do, as values: a seccomp profile in the form of the OCI runtime specification,
// compiled to a kernel filter by a pure function, and the identity a handler runs under.
//
// It does not install filters nor change identities (that is done in the child, between clone and exec), it does not
// read the kernel's records of violations, and it does not weaken a profile the host cannot enforce: it refuses it.
package policy
