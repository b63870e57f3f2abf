package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/aem-exec/aem-exec/config"
	"github.com/aem-exec/aem-exec/supervisor"
)

func (p *program) runVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the supervisor until SIGTERM or SIGINT; a second one ends the grace",
		Args:  cobra.NoArgs,
		RunE:  p.verb(func(*cobra.Command, []string) error { return p.run(&errand{}) }),
	}
}

// errand is what a supervisor is run for, where that is not its events.
type errand struct {
	file   *config.File                    // what it is told; nil: the file of -c
	alone  bool                            // without a control socket, and without anything that outlives it
	change func(*supervisor.Options) error // of what the file says; nil: nothing
	says   string                          // when it is ready; "": how much it has
	// do is done when it is ready, and then it ends; nil: it runs until a signal.
	do func(ctx context.Context, s *supervisor.Supervisor, runtimeDir string) error
}

func (p *program) run(e *errand) error {
	// Taken before anything is printed, so that they are not fatal: a terminal, or the reader of a log, may go away.
	// Ignoring them instead would be inherited by the handlers. Broken pipes have a channel that nobody reads, for they
	// could crowd out the others.
	signals, broken := make(chan os.Signal, 4), make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	signal.Notify(broken, syscall.SIGPIPE)
	defer signal.Stop(signals)
	defer signal.Stop(broken)

	file, err := e.file, error(nil)
	if file == nil {
		file, err = p.load()
	}
	if err != nil {
		return err
	}
	for _, w := range file.Warnings {
		fmt.Fprintf(p.err, "warning: %v\n", w)
	}
	o := file.Options
	if e.change != nil {
		if err := e.change(&o); err != nil {
			return err
		}
	}
	if e.alone {
		o.RuntimeDir, o.StateDir = "", ""
	} else if o.RuntimeDir, o.StateDir, err = p.directories(o.RuntimeDir, o.StateDir); err != nil {
		return err
	}
	ready := make(chan readiness, 1)
	o.Ready = func(jobs, apps int, socket string) { ready <- readiness{jobs, apps, socket} }
	o.Version = thisBuild().Version
	o.Whole = true
	o.Tables = config.Tables{}
	again := newReloader(p, file.Name())
	if e.change != nil {
		again.file = ""
	}
	o.Reload = again.reload
	if again.s, err = supervisor.New(o); err != nil {
		return p.complainOfHost(file, err)
	}
	return p.supervise(again, signals, ready, e.says, func(ctx context.Context) error {
		if e.do == nil {
			<-ctx.Done()
			return nil
		}
		return e.do(ctx, again.s, o.RuntimeDir)
	})
}

// readiness is what the supervisor says when it has started: on its loop, which must not wait for our output.
type readiness struct {
	jobs, apps int
	socket     string
}

// supervise runs until the supervisor has ended: the first signal to stop, or the end of what it is run for, ends its
// context; the second signal kills.
func (p *program) supervise(again *reloader, signals <-chan os.Signal, ready <-chan readiness, says string, do func(context.Context) error) error {
	running, ended := context.WithCancel(context.Background())
	ctx, stop := context.WithCancel(running)
	words := newSpeaker(p.err)
	defer words.close()
	var helpers sync.WaitGroup
	var errand error
	helpers.Go(func() {
		if p.announce(running, ready, words, says) {
			errand = do(ctx)
			stop()
		}
	})
	helpers.Go(func() { p.obey(running, signals, words, again.ring, stop, again.s.Kill) })
	helpers.Go(func() { again.run(running, words) })
	helpers.Go(func() { p.feedWatchdog(running, again.s.Alive) })
	err := again.s.Run(ctx)
	ended()
	helpers.Wait()
	return errors.Join(err, errand)
}

// announce tells the user and systemd that everything has started. It reports whether it has, before ctx ended.
func (p *program) announce(ctx context.Context, ready <-chan readiness, words *speaker, says string) bool {
	select {
	case r := <-ready:
		if says == "" {
			says = fmt.Sprintf("ready: %s, %s, control %s", count(r.jobs, "job"), count(r.apps, "app"), r.socket)
		}
		words.say("%s", says)
		p.notify(notifyReady)
		return true
	case <-ctx.Done():
		return false
	}
}

// obey turns signals into what they mean until ctx ends.
func (p *program) obey(ctx context.Context, signals <-chan os.Signal, words *speaker, reread, stop, kill func()) {
	stopping := false
	for {
		var got os.Signal
		select {
		case <-ctx.Done():
			return
		case got = <-signals:
		}
		switch {
		case got == syscall.SIGHUP && stopping:
			words.say("hangup: stopping, nothing changes")
		case got == syscall.SIGHUP:
			reread()
		case stopping:
			words.say("%v: killing what still runs", got)
			kill()
		default:
			words.say("%v: stopping, what runs may finish; once more kills it", got)
			stopping = true
			p.notify(notifyStopping)
			stop()
		}
	}
}
