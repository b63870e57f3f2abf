// Package timing keeps what is due when: a bounded-cost list of deadlines, and alarms that call a function.
//
// Times are nanoseconds as Now gives them. The package never waits: its owner asks for the next
// deadline, sleeps as it likes and then takes what is due. One owner, no lock.
package timing
