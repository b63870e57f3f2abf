package main

import (
	"errors"
	"os"
	"syscall"

	"github.com/aem-exec/aem-exec/control"
)

// The exit statuses.
const (
	exitDone   = 0
	exitFailed = 1   // refused or failed
	exitUsage  = 2   // usage or configuration
	exitAgain  = 111 // try again: no supervisor, at a limit, timed out
)

// refusals are the exit statuses of what the supervisor refuses; exitFailed for all others.
var refusals = map[syscall.Errno]int{
	syscall.EINVAL:          exitUsage,
	syscall.ENOSYS:          exitUsage,
	syscall.EPROTONOSUPPORT: exitUsage,
	syscall.EAGAIN:          exitAgain,
	syscall.ESHUTDOWN:       exitAgain,
	syscall.ETIMEDOUT:       exitAgain,
}

// fates are the exit statuses of what can become of an emitted event.
var fates = map[string]int{
	"done":    exitDone,
	"failed":  exitFailed,
	"expired": exitAgain,
	"shed":    exitAgain,
}

// usageError is a command line or a configuration that cannot be followed.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// told is an exit status whose reason has been printed already.
type told int

func (told) Error() string { return "" }

// exitStatus is what the process ends with.
func exitStatus(err error) int {
	var (
		status  told
		usage   usageError
		refusal *control.Error
	)
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &status):
		return int(status)
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &refusal):
		if s, ok := refusals[refusal.Errno]; ok {
			return s
		}
	case errors.Is(err, control.ErrNoSupervisor), errors.Is(err, os.ErrDeadlineExceeded):
		return exitAgain
	}
	return exitFailed
}
