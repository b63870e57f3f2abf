// Package source detects events: one Source per type, each serving many jobs with as few kernel objects as it can,
// and the Poller that waits for all of them.
//
// A source says what happened; it decides nothing. Which jobs an event is activated for, what runs and when a job is
// held is the supervisor's.
package source
