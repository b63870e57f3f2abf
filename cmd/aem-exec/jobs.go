package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/config"
	"github.com/aem-exec/aem-exec/control"
)

// jobVerb is a verb that does something to the selected jobs.
type jobVerb struct {
	name, alias string
	op          control.Op
	done        string // what is said of each job
	short       string
	closes      bool // it has --close

	// value names what comes before the selectors, or after them, and set puts it into the request; "" is nothing.
	value string
	set   func(req *control.Request, value string) error
}

var jobVerbs = []jobVerb{
	{name: "start", op: control.OpStart, done: "started", short: "Start jobs: they detect events"},
	{name: "stop", op: control.OpStop, done: "stopped", short: "Stop jobs: they detect no more", closes: true},
	{name: "fire", op: control.OpFire, done: "fired", short: "Make an event by hand"},
	{name: "priority", op: control.OpPriority, done: "priority of", short: "Change the priority of jobs, and of what waits of them", value: "LEVEL", set: setPriority},
	{name: "filter", op: control.OpFilter, done: "filter of", short: "Change which events jobs are told of: an expression, '' for all", value: "EXPRESSION", set: setFilter},
	{name: "timeout", op: control.OpTimeout, done: "timeout of", short: "Change how long their attempts may run: a duration, or none", value: "DURATION", set: setTimeout},
	{name: "clean", op: control.OpClean, done: "cleaned", short: "Shed what waits of jobs"},
	{name: "remove", alias: "shutdown", op: control.OpRemove, done: "removed", short: "Remove jobs for good"},
}

func (p *program) jobVerb(v jobVerb) *cobra.Command {
	var s selection
	var closes bool
	c := &cobra.Command{
		Use:   strings.TrimRight(v.name+" "+v.value, " ") + " SELECTOR...",
		Short: v.short,
		RunE: p.verb(func(c *cobra.Command, args []string) error {
			req, err := v.request(&s, args)
			if err != nil {
				return err
			}
			req.Close = closes
			return show(c.Context(), p, req, func(jobs []control.Touched) error { return p.printTouched(v.done, jobs) })
		}),
	}
	if v.alias != "" {
		c.Aliases = []string{v.alias}
	}
	if v.closes {
		c.Flags().BoolVar(&closes, "close", false, "close their sockets, too: clients are refused, and do not wait")
	}
	return s.flag(c, "all jobs")
}

// request makes the verb's request of its arguments.
func (v jobVerb) request(s *selection, args []string) (req control.Request, err error) {
	if v.value == "" {
		return s.jobs(v.op, args)
	}
	value, args, err := v.cut(args)
	if err == nil {
		req, err = s.jobs(v.op, args)
	}
	if err != nil {
		return req, err
	}
	if err := v.set(&req, value); err != nil {
		return req, usageError{err}
	}
	return req, nil
}

// cut takes the value from among the arguments: the first of them, or the last one if that alone is no selector.
func (v jobVerb) cut(args []string) (value string, rest []string, err error) {
	last := len(args) - 1
	if last < 0 {
		return "", nil, usageError{fmt.Errorf("want %s first", v.value)}
	}
	if selects(args[0]) && !selects(args[last]) {
		return args[last], args[:last], nil
	}
	return args[0], args[1:], nil
}

// selects reports whether an argument can be one or more selectors.
func selects(arg string) bool {
	selectors, err := control.ParseSelectors([]string{arg})
	return err == nil && len(selectors) > 0
}

func setFilter(req *control.Request, value string) error {
	req.Filter = &value
	return nil
}

func setPriority(req *control.Request, value string) error {
	n, err := strconv.ParseUint(value, 10, 8)
	if err != nil || n >= aem.PriorityLevels {
		return fmt.Errorf("priority %q: want one of 0 to %d", value, aem.PriorityLevels-1)
	}
	p := aem.Priority(n)
	req.Priority = &p
	return nil
}

func setTimeout(req *control.Request, value string) error {
	var d time.Duration
	if value != "none" {
		var err error
		if d, err = config.ParseDuration(value); err != nil || d <= 0 {
			return fmt.Errorf("timeout %q: want a duration like 2s, or none", value)
		}
	}
	req.Timeout = &d
	return nil
}

// printTouched says what was done to which job.
func (p *program) printTouched(done string, jobs []control.Touched) error {
	for _, j := range jobs {
		text := fmt.Sprintf("%s %v %s", done, j.ID, j.Job)
		if j.Event != 0 {
			text += fmt.Sprintf(" event %v", j.Event)
		}
		if j.Shed != 0 {
			text += fmt.Sprintf(" shed %d", j.Shed)
		}
		if _, err := fmt.Fprintln(p.out, text); err != nil {
			return err
		}
	}
	return nil
}
