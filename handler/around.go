package handler

import (
	"context"
	"fmt"
)

// Around has construct called right before the function, for each attempt at an event, and destruct right after it,
// whatever became of the other two: an error of construct keeps the function from being called, and nothing does
// destruct. The first error is the event's fate, as if the function had returned it. Either may be nil.
//
// When the process ends in the middle of an attempt, another process of the same handler calls destruct for it, with
// Event.Interrupted set and without a connection, before the event has its fate or is tried again. That is tried once. A
// panic is such an end.
//
// A program that attached itself has no other process: what it has registered ends with it.
func Around(construct, destruct Func) Option {
	return func(o *options) { o.around = around{construct, destruct} }
}

// around is what is called before and after each function.
type around struct{ construct, destruct Func }

// call is a function with what is around it.
func (a around) call(f Func) Func {
	if a.construct == nil && a.destruct == nil {
		return f
	}
	return func(ctx context.Context, e *Event) (err error) {
		if e.Interrupted == "" {
			if a.construct != nil {
				err = a.construct(ctx, e)
			}
			if err == nil {
				err = f(ctx, e)
			}
		}
		if a.destruct != nil {
			if failure := a.destruct(ctx, e); err == nil {
				err = failure
			} else if failure != nil {
				err = fmt.Errorf("%w; destructor: %v", err, failure) // the first is the fate
			}
		}
		return err
	}
}
