// Package policy holds what a handler may do, as values: a seccomp profile in the form of the OCI runtime specification,
// or Docker's, compiled to a kernel filter by a pure function, and the identity a handler runs under.
//
// What a profile leaves open is decided so:
//
//   - Rules with the default's answer say nothing (as in runc). Of the others, one without arguments wins over those that
//     have some (as in libseccomp); otherwise the first in the profile that passes answers. Two that answer the same
//     calls differently are a mistake (as in libseccomp).
//   - The arguments of a rule must all pass; if one is tested twice, any of them is enough (as in runc).
//   - Programs of 32 bits have arguments of 32 bits: the high words are not compared (as in libseccomp).
//   - An errno that is not given is EPERM.
//   - Numbers above all known ones answer ENOSYS, unless the default is ALLOW, LOG or TRACE (as in runc, which counts
//     from the highest number that the profile names).
//   - Calls of an architecture that is not listed kill the process; the native one is always listed.
//   - A name that is not known on any architecture is a mistake; one of another architecture is not.
//   - Conditions (includes, excludes, archMap) mean what they mean to Docker.
//   - NOTIFY and a listener are refused: nobody would answer.
//
// A program is short, because the kernel translates it and runs it for every number whenever a process is made: one search
// per architecture, the cheapest there is for the ranges of numbers that get the same answer (plan.go), and in its leaves
// another one for the ranges of an argument's values (argument.go).
//
// It does not install filters nor change identities (that is done in the child, between clone and exec, or by the
// handler itself), it does not read the kernel's records of violations, and it does not weaken a profile the host cannot
// enforce: it refuses it.
package policy
