package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/aem-exec/aem-exec/config"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/supervisor"
)

func (p *program) reloadVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Read the file again: what differs in it changes, all else goes on",
		Args:  cobra.NoArgs,
		RunE: p.verb(func(c *cobra.Command, _ []string) error {
			reply, err := p.ask(c.Context(), control.Request{Op: control.OpReload})
			if refusal := (*control.Error)(nil); errors.As(err, &refusal) && strings.Contains(refusal.Text, "\n") {
				fmt.Fprintln(p.err, refusal.Text) // as check says it
				return told(exitStatus(err))
			}
			if err != nil {
				return err
			}
			if p.json {
				return p.printJSON(reply.Result)
			}
			done, err := control.ResultOf[control.Reloaded](reply)
			if err != nil {
				return err
			}
			for _, w := range done.Warnings {
				fmt.Fprintf(p.err, "warning: %s\n", w)
			}
			_, err = fmt.Fprintln(p.out, strings.Join(changesIn(done), "\n"))
			return err
		}),
	}
}

// changesIn says what has become of what.
func changesIn(done control.Reloaded) []string {
	lines := []string{}
	for _, c := range done.Changes {
		lines = append(lines, fmt.Sprintf("%s %s %s", c.Change, c.What, c.Name))
	}
	if len(lines) == 0 {
		lines = append(lines, "nothing has changed")
	}
	return lines
}

// reloader reads a supervisor's file again: for a client, or when a signal says so.
type reloader struct {
	p    *program
	file string // "": it does not run as a file says
	s    *supervisor.Supervisor
	bell chan struct{} // rung by the signal; what comes while it is rung is one with it
}

func newReloader(p *program, file string) *reloader {
	return &reloader{p: p, file: file, bell: make(chan struct{}, 1)}
}

// reload tells all that is wrong with the file, or with the host for it, at once, and changes nothing then.
func (r *reloader) reload() (done control.Reloaded, err error) {
	if r.file == "" {
		return done, control.Errorf(syscall.EOPNOTSUPP, "there is no file to read again")
	}
	file, err := config.Load(r.file)
	if err != nil {
		return done, control.Errorf(syscall.EINVAL, "%s", r.complaint(file, err))
	}
	o := file.Options
	if o.RuntimeDir, o.StateDir, err = r.p.directories(o.RuntimeDir, o.StateDir); err != nil {
		return done, err
	}
	done.Warnings = texts(file.Warnings)
	done.Changes, err = r.s.Reload(o)
	if several := supervisor.HostErrors(err); len(several) > 1 || len(several) == 1 && several[0].Path != "" {
		err = control.Errorf(syscall.ECANCELED, "%s", r.complaint(file, err))
	}
	return done, err
}

// complaint is all that is wrong, line by line.
func (r *reloader) complaint(file *config.File, err error) string {
	var lines []string
	if wrong := (config.Errors)(nil); errors.As(err, &wrong) {
		lines = texts(wrong)
	} else if file == nil {
		return err.Error()
	} else {
		for _, e := range supervisor.HostErrors(err) {
			lines = append(lines, placed(file, e))
		}
	}
	return strings.Join(append(lines, count(len(lines), "error")+": nothing has changed"), "\n")
}

// ring has the file read again soon.
func (r *reloader) ring() {
	select {
	case r.bell <- struct{}{}:
	default:
	}
}

// run reads it when the bell is rung, until ctx ends.
func (r *reloader) run(ctx context.Context, words *speaker) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.bell:
		}
		r.p.notify(notifyReloading)
		done, err := r.reload()
		r.p.notify(notifyReady)
		if err != nil {
			words.say("hangup: %v", err)
			continue
		}
		for _, w := range done.Warnings {
			words.say("warning: %s", w)
		}
		words.say("hangup: %s", strings.Join(changesIn(done), ", "))
	}
}
