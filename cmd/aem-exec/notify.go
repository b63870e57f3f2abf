package main

import (
	"context"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// What systemd is told, man 3 sd_notify.
const (
	notifyReady     = daemon.SdNotifyReady
	notifyReloading = daemon.SdNotifyReloading
	notifyStopping  = daemon.SdNotifyStopping
	notifyAlive     = daemon.SdNotifyWatchdog
)

// notify tells systemd, when it started us and asked to be told.
func (p *program) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		fmt.Fprintf(p.err, "tell systemd %s: %v\n", state, err)
	}
}

// feedWatchdog tells systemd that the supervisor lives, twice in each WatchdogSec and only while its loop answers.
func (p *program) feedWatchdog(ctx context.Context, alive func(context.Context) error) {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		fmt.Fprintf(p.err, "read systemd's watchdog: %v\n", err)
	}
	if limit == 0 {
		return
	}
	ticks := time.NewTicker(limit / 2)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		asked, cancel := context.WithTimeout(ctx, limit/2)
		err := alive(asked)
		cancel()
		if err == nil {
			p.notify(notifyAlive)
		}
	}
}
