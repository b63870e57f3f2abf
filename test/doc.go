// Package test holds the tests of the repository as a whole: which package may import which, what the documents
// promise, and the example that a newcomer runs first. It has no code of its own, and it does not test what a package
// does: those tests stand beside the package.
package test
