package handler

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// caught are the signals that end Keepalive, where it is told of none.
var caught = []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM}

// Keepalive handles events as they come, until a signal arrives, which it returns: one of those named, or, without names,
// any that programs are usually sent. It may be called again; from its first call until Close such signals do nothing else,
// and one that arrives between two calls ends the second. It returns an error when ctx ends, and io.EOF as Dispatch does.
// The event that is being handled is finished before.
func (a *Agent) Keepalive(ctx context.Context, signals ...os.Signal) (os.Signal, error) {
	if len(signals) == 0 {
		signals = caught
	}
	signal.Notify(a.signals, signals...)
	defer a.wakeAtSignal()()
	defer context.AfterFunc(ctx, a.wake)()
	for {
		_, err := a.Dispatch() // it silences the bell, so what rings it is looked at behind it
		if err != nil {
			return nil, err
		}
		select {
		case s := <-a.arrived:
			return s, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		default:
		}
		if err := a.wait(); err != nil {
			return nil, err
		}
	}
}

// wakeAtSignal has the next signal ring the bell, until end is called.
func (a *Agent) wakeAtSignal() (end func()) {
	stop, done := make(chan struct{}), make(chan struct{})
	if len(a.arrived) > 0 { // one came too late to end the call before
		a.wake()
		return func() {}
	}
	go func() {
		defer close(done)
		select {
		case s := <-a.signals:
			a.arrived <- s // there was room
			a.wake()
		case <-stop:
		}
	}()
	return func() {
		close(stop)
		<-done
	}
}
