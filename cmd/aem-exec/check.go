package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/aem-exec/aem-exec/config"
	"github.com/aem-exec/aem-exec/source"
	"github.com/aem-exec/aem-exec/supervisor"
)

// verdict is what check comes to.
type verdict struct {
	File     string   `json:"file"`
	Jobs     int      `json:"jobs"`
	Apps     int      `json:"apps"`
	Errors   []string `json:"errors"` // each as "FILE:LINE: KEY: what is wrong"
	Warnings []string `json:"warnings"`
	Next     []runsOf `json:"next,omitempty"` // of timers by the calendar
	host     bool     // the text is right, the host is not
}

// runsOf is when a timer would be due next, if it were started now.
type runsOf struct {
	Event string      `json:"event"` // APP/EVENT
	Runs  []time.Time `json:"runs"`
}

func (p *program) checkVerb() *cobra.Command {
	offline := false
	c := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration, and whether this host can do what it says",
		Args:  cobra.NoArgs,
		RunE:  p.verb(func(*cobra.Command, []string) error { return p.check(offline) }),
	}
	c.Flags().BoolVar(&offline, "offline", false, "judge the text only, not the host")
	return p.jsonFlag(c)
}

func (p *program) check(offline bool) error {
	name, err := p.chooseFile(defaultFiles)
	if err != nil {
		return usageError{err}
	}
	v, err := judge(name, offline)
	if err != nil {
		return usageError{err}
	}
	if p.json {
		err = p.printJSON(v)
	} else {
		err = p.printVerdict(v)
	}
	switch {
	case err != nil:
		return err
	case v.host:
		return told(exitFailed)
	case len(v.Errors) > 0:
		return told(exitUsage)
	}
	return nil
}

// judge asks config about the text and, when nothing is wrong with it, the supervisor about the host.
func judge(name string, offline bool) (verdict, error) {
	v := verdict{File: name, Errors: []string{}, Warnings: []string{}}
	file, err := config.Load(name)
	var wrong config.Errors
	if errors.As(err, &wrong) {
		v.Errors = texts(wrong)
		return v, nil
	}
	if err != nil {
		return v, err
	}
	v.Jobs, v.Apps = size(file.Options)
	v.Warnings, v.Next = texts(file.Warnings), calendars(file.Options)
	if offline {
		return v, nil
	}
	for _, e := range supervisor.CheckHost(file.Options) {
		v.Errors = append(v.Errors, placed(file, e))
	}
	v.host = len(v.Errors) > 0
	return v, nil
}

// shownRuns is how many of a timer's next times are shown.
const shownRuns = 3

// calendars is what the file's timers by the calendar come to.
func calendars(o supervisor.Options) (all []runsOf) {
	for _, app := range o.Apps {
		for _, event := range app.Events {
			if t, ok := event.Source.(source.Timer); ok && (t.At != "" || t.Cron != "") {
				all = append(all, runsOf{app.Name + "/" + event.Name, t.Upcoming(time.Now(), shownRuns)})
			}
		}
	}
	return all
}

func texts(list []config.Error) []string {
	all := []string{}
	for _, e := range list {
		all = append(all, e.Error())
	}
	return all
}

// size counts the jobs, one for each event and handler, and the apps.
func size(o supervisor.Options) (jobs, apps int) {
	for _, app := range o.Apps {
		for _, event := range app.Events {
			jobs += len(event.Handlers)
		}
	}
	return jobs, len(o.Apps)
}

func (p *program) printVerdict(v verdict) error {
	for _, text := range v.Warnings {
		fmt.Fprintf(p.out, "warning: %s\n", text)
	}
	for _, text := range v.Errors {
		fmt.Fprintln(p.out, text)
	}
	for _, r := range v.Next {
		runs := "never"
		if len(r.Runs) > 0 {
			runs = moments(r.Runs)
		}
		fmt.Fprintf(p.out, "%s: next %s\n", r.Event, runs)
	}
	last := fmt.Sprintf("%s: ok, %s in %s", v.File, count(v.Jobs, "job"), count(v.Apps, "app"))
	if n := len(v.Errors); n > 0 {
		last = count(n, "error")
	}
	_, err := fmt.Fprintln(p.out, last)
	return err
}
