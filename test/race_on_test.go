//go:build race

package test

// raceEnabled says that the race detector is on, in the tests and so in the program they run.
const raceEnabled = true
