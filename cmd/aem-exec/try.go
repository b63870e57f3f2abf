package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/config"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/source"
	"github.com/aem-exec/aem-exec/supervisor"
)

// trial runs the handlers of one event in the foreground: by a supervisor of its own, which has no other event, no control
// socket, and nothing that outlives it.
type trial struct {
	app, event string
	waits      bool     // for the event to happen, rather than to make it
	facts      []string // of one that is made, as NAME=VALUE
	data       string   // the file with its data
	count      uint64   // to wait for; 0: until a signal
	handover   string

	made []aem.Fact
	left int             // jobs that have not ended
	over context.Context // when all that are waited for have, or one cannot go on
	end  func()
	s    *supervisor.Supervisor // once it has started
}

func (p *program) tryVerb() *cobra.Command {
	t := &trial{}
	c := &cobra.Command{
		Use:   "try APP/EVENT | try TYPE KEY=VALUE... -- PROGRAM [ARGUMENT...]",
		Short: "Run one event's handler in the foreground: of the file, or a program for an event that no file has",
		Long: "With APP/EVENT, an event is made, and its handlers run once, as the file says: with their user, limits and policy. An\n" +
			"event that brings a connection is waited for.\n\n" +
			"With TYPE, one event is waited for, and PROGRAM is run for it; {name} in its arguments is a fact of the event. The keys\n" +
			"are those that an event has in the file: `aem-exec sources TYPE` lists them. In lists, commas stand between the items.\n\n" +
			"What handlers write goes to standard output and error. There is no second attempt. Exit: 0 when all is done, 1 when\n" +
			"something failed, 111 when nothing came or it came too late.",
		Example: "  aem-exec try shop/order --data order.json\n" +
			"  aem-exec try file path=/srv/in on=written -- echo got {name}\n" +
			"  aem-exec try socket.accept listen=tcp://127.0.0.1:7007 --count 0 -- cat",
		Args: cobra.MinimumNArgs(1),
		RunE: p.verb(func(c *cobra.Command, args []string) error {
			dash := c.ArgsLenAtDash()
			switch {
			case dash < 0 && len(args) == 1 && strings.Contains(args[0], "/"):
				return p.tryEvent(t, args[0], c.Flags().Changed("count"))
			case dash > 0 && dash < len(args):
				return p.tryCommand(t, args[:dash], args[dash:])
			}
			return usageError{errors.New("try: want APP/EVENT, or TYPE KEY=VALUE... -- PROGRAM")}
		}),
	}
	f := c.Flags()
	f.StringVar(&t.data, "data", "", "`FILE` with the data of an event that is made, - is standard input")
	f.StringArrayVar(&t.facts, "fact", nil, "a fact of it, as `NAME=VALUE`; may be given several times")
	f.BoolVar(&t.waits, "wait", false, "wait until the event happens")
	f.Uint64Var(&t.count, "count", 1, "how many to wait for, 0: until SIGINT or SIGTERM")
	f.StringVar(&t.handover, "handover", "", "how PROGRAM gets its event: direct, socket, listen-fds, stdin, data or none\n"+
		"(default: socket where there is one, data where there is some, else none)")
	return c
}

// tryEvent tries an event of the file.
func (p *program) tryEvent(t *trial, target string, counts bool) error {
	if t.handover != "" {
		return usageError{errors.New("try: the handover of a handler in the file is what the file says")}
	}
	t.app, t.event, _ = strings.Cut(target, "/")
	file, err := p.load()
	if err != nil {
		return err
	}
	app, err := appNamed(file.Options.Apps, t.app)
	if err != nil {
		return err
	}
	event, err := eventNamed(app, t.event)
	if err != nil {
		return err
	}
	row, _ := source.TypeNamed(event.Source.Type())
	t.waits = t.waits || row.Socket
	switch {
	case t.waits && (t.data != "" || t.facts != nil):
		return usageError{fmt.Errorf("try: %s is waited for, with its own facts and data", target)}
	case counts && !t.waits:
		return usageError{errors.New("try: --count is for events that are waited for: --wait")}
	}
	if err := t.setFacts(row, event.Source); err != nil {
		return usageError{fmt.Errorf("try: %w", err)}
	}
	var data []byte
	switch t.data {
	case "":
	case "-":
		data, err = p.payload("-", "")
	default:
		data, err = p.payload("", t.data)
	}
	if err == nil && len(data) > control.MaxDataBytes {
		err = usageError{fmt.Errorf("try: more than %d bytes of data", control.MaxDataBytes)}
	}
	if err != nil {
		return err
	}
	return p.try(t, file, data)
}

// tryCommand tries an event of the command line.
func (p *program) tryCommand(t *trial, words, program []string) error {
	if t.data != "" || t.facts != nil {
		return usageError{errors.New("try: an event that is waited for has its own facts and data")}
	}
	switch words[0] {
	case "topic":
		return usageError{errors.New("try: nobody could emit: there is no control socket. In a file, try APP/EVENT")}
	case "socket.close":
		return usageError{errors.New("try: socket.close tells of connections of a socket.read, and there is none. In a file, try APP/EVENT")}
	}
	t.app, t.event, t.waits = config.CommandName, config.CommandName, true
	file, err := config.Command{Type: words[0], Settings: words[1:], Exec: program, Handover: t.handover}.Parse()
	if err != nil {
		return usageError{err}
	}
	return p.try(t, file, nil)
}

// setFacts reads the facts of an event that is made.
func (t *trial) setFacts(row source.Type, spec source.Spec) error {
	if topic, ok := spec.(source.Topic); ok {
		t.made = []aem.Fact{{Name: "topic", Value: topic.Name}}
	}
	for _, text := range t.facts {
		name, value, _ := strings.Cut(text, "=")
		i := slices.IndexFunc(row.Facts, func(f source.Field) bool { return f.Name == name })
		if i < 0 {
			return fmt.Errorf("fact %q: %s has %s", text, row.Name, strings.Join(source.Names(row.Facts), ", "))
		}
		f := aem.Fact{Name: name, Value: value, Kind: row.Facts[i].Kind}
		var err error
		switch f.Kind {
		case aem.FactNumber:
			f.Number, err = strconv.ParseInt(value, 10, 64)
		case aem.FactTime:
			var at time.Time
			at, err = time.Parse(time.RFC3339, value)
			f.Number = at.UnixNano()
		}
		if err != nil {
			return fmt.Errorf("fact %q: want a %v", text, f.Kind)
		}
		t.made = append(t.made, f)
	}
	return nil
}

// try runs what is tried, and tells its fate.
func (p *program) try(t *trial, file *config.File, data []byte) error {
	t.over, t.end = context.WithCancel(context.Background())
	defer t.end()
	e := &errand{file: file, alone: true, change: t.change, says: "trying " + t.app + "/" + t.event}
	if t.waits {
		e.says = "waiting for " + t.app + "/" + t.event
	}
	e.do = func(ctx context.Context, s *supervisor.Supervisor, _ string) error {
		t.s = s
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(t.over, cancel)()
		if t.waits {
			<-ctx.Done()
			return nil
		}
		emitted, err := s.Fire(ctx, t.app, t.event, t.made, data)
		if err != nil && ctx.Err() == nil {
			return err
		}
		return p.printReplies(emitted.Fates)
	}
	if err := p.run(e); err != nil || t.s == nil {
		return err
	}
	if status := p.printFates(t.s.Jobs()); status != exitDone {
		return told(status)
	}
	return nil
}

// change leaves of the file what is tried.
func (t *trial) change(o *supervisor.Options) error {
	app, err := appNamed(o.Apps, t.app)
	if err != nil {
		return err
	}
	event, err := eventNamed(app, t.event)
	if err != nil {
		return err
	}
	o.Apps = []supervisor.App{*app}
	app = &o.Apps[0]
	app.Start, t.left = true, len(event.Handlers)
	app.Events = []supervisor.Registration{*event}
	app.Events[0].Start, app.Events[0].Once, app.Events[0].Most = t.waits, false, t.count
	app.Handlers = slices.DeleteFunc(slices.Clone(app.Handlers), func(h executor.Spec) bool { return !slices.Contains(event.Handlers, h.Name) })
	for i := range app.Handlers {
		app.Handlers[i].Retries = 0
	}
	o.Foreground = true
	o.Ended = func(err error) {
		if t.left--; err != nil || t.waits && t.left == 0 {
			t.end()
		}
	}
	return nil
}

// printFates says what has become of the events of each job, and returns the exit status for all.
func (p *program) printFates(jobs []aem.JobStatus) int {
	var all []control.Fate
	for _, j := range jobs {
		for _, f := range []struct {
			outcome string
			n       uint64
		}{{"done", j.Counts.Done}, {"failed", j.Counts.Failed}, {"expired", j.Counts.Expired}, {"shed", j.Counts.Shed}} {
			if f.n > 0 {
				all = append(all, control.Fate{Outcome: f.outcome})
				fmt.Fprintf(p.err, "%s/%s:%s: %d %s\n", j.App, j.Event, j.Handler, f.n, f.outcome)
			}
		}
	}
	if len(all) == 0 {
		fmt.Fprintln(p.err, "nothing came")
		return exitAgain
	}
	return worst(all)
}
