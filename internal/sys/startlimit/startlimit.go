// Package startlimit knows the limit of open descriptors that the process was started with.
//
// The Go runtime raises the soft RLIMIT_NOFILE to the hard one while package syscall is initialised (syscall/rlimit.go)
// and tells nobody what it was. Packages are initialised in the order of their import paths, each as soon as what it
// imports is (https://go.dev/ref/spec#Program_initialization): this one imports nothing and its path sorts before
// "syscall", so it asks first. It must therefore never import anything. It sets no limit.
package startlimit

// nofile is struct rlimit64 (linux/resource.h), soft and hard.
var nofile = getNofile()

// Nofile returns the soft and the hard RLIMIT_NOFILE the process was started with.
func Nofile() (soft, hard uint64) { return nofile[0], nofile[1] }

func getNofile() (limit [2]uint64) {
	prlimit(&limit)
	return limit
}

// prlimit is prlimit64(0, RLIMIT_NOFILE, NULL, limit), man 2 prlimit; it cannot fail.
//
//go:noescape
func prlimit(limit *[2]uint64)
