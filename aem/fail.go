package aem

import (
	"errors"
	"time"
)

// failure and later mark what a handler's error means for its event.
type (
	failure struct{ error }
	later   struct {
		error
		delay time.Duration
	}
)

func (f failure) Unwrap() error { return f.error }
func (l later) Unwrap() error   { return l.error }

// Fail marks err as final: the event is failed at once and not tried again.
func Fail(err error) error { return failure{err} }

// After marks err as passing: the event is tried again after d.
func After(d time.Duration, err error) error { return later{err, d} }

// Judge tells what a handler's error means for its event.
func Judge(err error) (o Outcome, delay time.Duration) {
	if err == nil {
		return Done, 0
	}
	if _, final := errors.AsType[failure](err); final {
		return Failed, 0
	}
	if l, ok := errors.AsType[later](err); ok {
		return Retry, l.delay
	}
	return Retry, 0
}
