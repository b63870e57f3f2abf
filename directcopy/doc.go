// Package directcopy puts bytes into the memory of another process, and tells it that they are there.
//
// A [Mailbox] is the supervisor's end of one agent process, an [Inbox] the handler's. Between them lie an arena, which
// the supervisor alone manages and writes, a control page that both map, and a channel for the hello, descriptors,
// errors and replies. The arena is the handler's memory, written with process_vm_writev, or memory that both map.
// docs/abi.md describes all of it for handlers in other languages.
//
// The supervisor's side trusts nothing it reads: every word is loaded once and checked, and a handler that lies gets
// an error that says which lie. No call of the supervisor's side waits for the handler, except the copy itself.
//
// The package does not know what an event means, makes no process and decides nothing about the ones it writes to.
package directcopy
