// Package policy holds what a handler may do, as values: a seccomp profile in the form of the OCI runtime specification,
// compiled to a kernel filter by a pure function, and the identity a handler runs under.
//
// What a profile leaves open is decided so:
//
//   - Rules with the default's answer say nothing. Of the others, one without arguments wins over those that have some
//     (as in libseccomp); otherwise the first in the profile that passes answers.
//   - The arguments of a rule must all pass; if one is tested twice, any of them is enough (as in runc).
//   - Programs of 32 bits have arguments of 32 bits: the high words are not compared (as in libseccomp).
//   - An errno that is not given is EPERM.
//   - Numbers above all known ones answer ENOSYS, unless the default is ALLOW, LOG or TRACE (as in runc, which counts
//     from the highest number that the profile names).
//   - Calls of an architecture that is not listed kill the process; the native one is always listed.
//   - A name that is not known on any architecture is a mistake; one of another architecture is not.
//
// It does not install filters nor change identities (that is done in the child, between clone and exec), it does not
// read the kernel's records of violations, and it does not weaken a profile the host cannot enforce: it refuses it.
package policy
