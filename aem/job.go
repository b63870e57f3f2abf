package aem

import (
	"fmt"
	"time"
)

// State is what a job does at the moment.
type State uint8

// The states. Only an armed job detects; a held one detects again by itself when there is room.
const (
	Stopped State = iota // registered, not started
	Armed                // detecting
	Held                 // not taking more, because of a limit
	Failing              // its source or its agents fail; tried again by backoff
	Ended                // a job that runs once has run
)

var states = [...]string{Stopped: "stopped", Armed: "armed", Held: "held", Failing: "failing", Ended: "ended"}

func (s State) String() string { return states[s] }

// MarshalText prints the state by its name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *State) UnmarshalText(text []byte) error {
	for i, name := range states {
		if name == string(text) {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("parse state %q: no such state", text)
}

// Counts are a job's books. In every snapshot Detected is the sum of all the others.
type Counts struct {
	Detected uint64 `json:"detected"`
	Done     uint64 `json:"done"`
	Failed   uint64 `json:"failed"`
	Expired  uint64 `json:"expired"`
	Shed     uint64 `json:"shed"`
	Waiting  uint64 `json:"waiting"`
	Running  uint64 `json:"running"`
}

// Balanced reports whether every detected event is in exactly one place.
func (c Counts) Balanced() bool {
	return c.Detected == c.Done+c.Failed+c.Expired+c.Shed+c.Waiting+c.Running
}

// Hold is why a job does not take more at the moment.
type Hold struct {
	Reason string    `json:"reason"`
	Count  uint64    `json:"count"` // arrivals kept for later
	Since  time.Time `json:"since"`
}

// JobStatus is a snapshot of one job, in the form that `ctl list --json` prints.
type JobStatus struct {
	ID       JobID      `json:"id"`
	App      string     `json:"app"`
	Event    string     `json:"event"`
	Handler  string     `json:"handler"`
	Type     string     `json:"type"`
	State    State      `json:"state"`
	Agent    string     `json:"agent"`
	Life     *string    `json:"life"` // nil for callback and thread
	Priority Priority   `json:"priority"`
	Last     *time.Time `json:"last"` // when its last event was detected
	Next     *time.Time `json:"next"` // when a timer's next event is due
	Hold     *Hold      `json:"hold"`
	Counts   Counts     `json:"counts"`
}
