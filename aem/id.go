package aem

import (
	"fmt"
	"strconv"
	"strings"
)

// JobID names a live registration: a slot of the registry and the generation that holds it. A slot is used again,
// its generation never, so the id of a removed job stays unknown for good.
type JobID uint64

// NewJobID joins slot and generation; generations count from 1, so that the zero JobID names no job.
func NewJobID(slot, generation uint32) JobID {
	return JobID(generation)<<32 | JobID(slot)
}

// Slot is the place in the registry.
func (id JobID) Slot() uint32 { return uint32(id) }

// Generation tells this holder of the slot from those before it.
func (id JobID) Generation() uint32 { return uint32(id >> 32) }

// String is the form people see, as "12:7": slot and generation.
func (id JobID) String() string {
	return strconv.FormatUint(uint64(id.Slot()), 10) + ":" + strconv.FormatUint(uint64(id.Generation()), 10)
}

// MarshalText makes a job's id a string wherever it is printed as JSON.
func (id JobID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *JobID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseJobID(string(text))
	return err
}

// ParseJobID reads the form of JobID.String.
func ParseJobID(s string) (JobID, error) {
	slot, generation, ok := strings.Cut(s, ":")
	if ok {
		n, err := strconv.ParseUint(slot, 10, 32)
		g, gerr := strconv.ParseUint(generation, 10, 32)
		if err == nil && gerr == nil && g > 0 {
			return NewJobID(uint32(n), uint32(g)), nil
		}
	}
	return 0, fmt.Errorf("parse job id %q: want SLOT:GENERATION, like 12:7", s)
}

// EventID names one event for ever: the ids of a run count up by one from the time it started, in nanoseconds since
// 1970, so that those of a later run lie above them (dead letters outlive a run).
type EventID uint64

// String is the id in decimal.
func (id EventID) String() string { return strconv.FormatUint(uint64(id), 10) }

// MarshalText makes an event's id a string wherever it is printed as JSON: readers lose digits above 2^53.
func (id EventID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *EventID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseEventID(string(text))
	return err
}

// ParseEventID reads the form of EventID.String.
func ParseEventID(s string) (EventID, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("parse event id %q: want a positive number", s)
	}
	return EventID(n), nil
}
