// Package signals tells which signals come to this process, and from whom: what os/signal does not say, and what
// signalfd(2) could say only of signals that all threads block, which a Go program cannot have its threads do.
//
// A handler in assembly writes what the kernel tells, struct siginfo, into a pipe, on whichever thread it comes to. It
// touches nothing of Go. A process has one action for each signal, so it has one Taker at a time; the package knows
// nothing of events, and signals that the Go runtime or the standard library has a use for are not for it.
package signals
