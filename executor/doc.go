// Package executor holds the agents that run handlers: callbacks, threads and processes, and the pool of like agents
// that each handler has.
//
// Everything here except what is said to run elsewhere is called from the supervisor's loop and never blocks it. An
// agent takes activations and reports completions; retries, books and limits are the supervisor's.
package executor
