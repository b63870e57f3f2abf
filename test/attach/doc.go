// Package attach tests programs that attach themselves to a running supervisor: real ones, with the configuration's own
// tables, against a supervisor in the test's process.
package attach
