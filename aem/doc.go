// Package aem holds the nouns of aem-exec: events, jobs, activations' ends and their ids, as plain values.
//
// An event is detected by a source, activated for each job registered for it, run by an agent and completed. The
// package imports the standard library only; it detects, runs and limits nothing itself.
package aem
