// Package sdk tests the ways to write a handler that are not Go: sdk/c, sdk/python, and docs/abi.md itself, by a handler
// in Perl that was written from that page alone. It has no code of its own, and it does not test the Go package handler,
// whose tests stand beside it.
package sdk
