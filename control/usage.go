package control

import (
	"time"

	"github.com/aem-exec/aem-exec/aem"
)

// Usage is what one app uses of what it may.
type Usage struct {
	App      string           `json:"app"`
	Limits   []LimitUsage     `json:"limits"`
	Types    []string         `json:"types"`       // event types it may register; null: all
	Agents   []string         `json:"agents"`      // it may use; null: all
	Held     []HeldJob        `json:"held"`        // its jobs that take no more now, 64 of them at most
	HeldJobs int              `json:"held_jobs"`   // how many there are
	Without  []string         `json:"without"`     // limits that this host lacks, as on_missing allows
	Waits    []Wait           `json:"waits"`       // of its activations by priority, the highest first
	Boost    uint64           `json:"boost_calls"` // system calls that raised its threads and put them back
	Cgroup   map[string]int64 `json:"cgroup"`      // what the kernel has counted, the unit in each name; what it does not count is left out
}

// Wait is how long an app's activations of one priority waited from their activation until their first attempt began.
// Times are right to 12.5 %.
type Wait struct {
	Priority aem.Priority  `json:"priority"`
	Count    uint64        `json:"count"`
	P50      time.Duration `json:"p50_ns"`
	P99      time.Duration `json:"p99_ns"`
	Longest  time.Duration `json:"longest_ns"`
}

// LimitUsage is one limit, and what is used of it.
type LimitUsage struct {
	Limit   string     `json:"limit"`   // the key, as activations or jobs_of."socket.*"
	Value   any        `json:"value"`   // what it is set to: a number, or a string as of a cpuset; null: no limit, and counted all the same
	Used    *int64     `json:"used"`    // now; null: nobody counts it
	Peak    *int64     `json:"peak"`    // the most that was used at once
	Reached *uint64    `json:"reached"` // how often; null: the kernel does not count it
	Last    *time.Time `json:"last"`    // when it was last reached
	Since   *time.Time `json:"since"`   // since when it is; null: it is not
}

// HeldJob is a job that takes no more, and why.
type HeldJob struct {
	Job    string    `json:"job"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	Kept   uint64    `json:"kept"` // arrivals that wait until it takes more
}
