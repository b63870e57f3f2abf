// Package spawn is the one way a process is made: what the new process does before it executes its program is a list of
// system calls, and assembly runs that list in a child that shares our memory.
//
// The flow, for one process:
//
//  1. Compile turns a Spec, what all processes of a handler have in common, into a Plan. Once per handler.
//  2. A Lane, one goroutine on its own thread, runs Maker.Spawn, so that a child that is slow to reach its program
//     (frozen, out of CPU quota, a dead file system) keeps nobody waiting but its own lane.
//  3. Spawn borrows a set of low descriptor numbers from the Stage and copies there what the child shall have.
//  4. The rows of order (steps.go) write the list.
//  5. clone3 makes the child; assembly (vfork_*.s) runs the list; the lane sleeps in the kernel until execve or death.
//  6. Spawn empties the set and answers with a pid and its pidfd, or with the step that failed.
//
// No Go code runs in the child and no stack is written by it. The package does not look up programs or users, does not
// judge filters, makes no cgroups or sockets, and never waits for a process that has begun its program: that is for the
// owner of the pidfd.
package spawn
