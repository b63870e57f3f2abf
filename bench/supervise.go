package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/config"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/supervisor"
)

// supervised is a supervisor embedded in this process, configured and commanded as any other.
type supervised struct {
	*control.Client
	embedded *supervisor.Supervisor
	dir      string // of its control socket
	stop     func() error
}

// app is the beginning of every configuration here: an app with counts, limits, a policy and an identity.
func (b *bench) app() string {
	who, limits := "", ""
	if b.root {
		who = "user = \"nobody\"\n"
		limits = "memory = \"512MiB\"\npids = 256\ncpu = 4\non_missing = [\"memory\", \"swap\", \"pids\", \"cpu\"]\n"
	}
	return fmt.Sprintf("[app.bench]\n%s[app.bench.limits]\nactivations = 1000\n%s[app.bench.policy]\nseccomp = \"default\"\n", who, limits)
}

// supervise runs an embedded supervisor whose configuration is the app and what is given. Functions are the Go
// functions that its callbacks may call.
func (b *bench) supervise(events string, functions map[string]executor.Function) (*supervised, error) {
	names := []string{}
	for name := range functions {
		names = append(names, name)
	}
	file, err := config.Parse(filepath.Join(b.dir, "aem.toml"), []byte(b.app()+events), names...)
	if err != nil {
		return nil, err
	}
	o := file.Options
	if o.RuntimeDir, err = os.MkdirTemp(b.dir, "run-"); err != nil {
		return nil, err
	}
	o.StateDir = filepath.Join(o.RuntimeDir, "state")
	o.Functions, o.Tables = functions, config.Tables{}
	o.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	ready := make(chan struct{})
	o.Ready = func(int, int, string) { close(ready) }
	s, err := supervisor.New(o)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	<-ready
	client, err := control.Dial(o.RuntimeDir)
	if err != nil {
		cancel()
		return nil, errors.Join(err, <-ended)
	}
	return &supervised{client, s, o.RuntimeDir, func() error {
		client.Close()
		cancel()
		return <-ended
	}}, nil
}

// patience is how long anything here may take that should take an instant.
const patience = 30 * time.Second

// ask has something done to the jobs that a pattern selects.
func (s *supervised) ask(op control.Op, pattern string) (control.Reply, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	selectors, err := control.ParseSelectors([]string{pattern})
	if err != nil {
		return control.Reply{}, err
	}
	return s.Do(ctx, control.Request{Op: op, Selectors: selectors})
}

// during starts the jobs of a pattern for a while and returns when all that they caused is complete.
func (s *supervised) during(d time.Duration, pattern string) error {
	return s.run(pattern, func() error { time.Sleep(d); return nil })
}

// run starts the jobs of a pattern, stops them after f, and returns when all that they caused is complete.
func (s *supervised) run(pattern string, f func() error) error {
	if _, err := s.ask(control.OpStart, pattern); err != nil {
		return err
	}
	err := f()
	if _, stopErr := s.ask(control.OpStop, pattern); err != nil || stopErr != nil {
		return errors.Join(err, stopErr)
	}
	return s.settled()
}

// settled waits until nothing waits or runs. An event that failed is an error: its figure would be a lie.
func (s *supervised) settled() error {
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		total, err := s.books()
		switch {
		case err != nil:
			return err
		case total.Failed+total.Shed > 0:
			return fmt.Errorf("events did not end well: %+v", total)
		case total.Waiting+total.Running == 0:
			return nil
		case time.Now().After(end):
			return fmt.Errorf("events did not end: %+v", total)
		}
	}
}

// books are the sums over all jobs.
func (s *supervised) books() (total aem.Counts, err error) {
	reply, err := s.ask(control.OpList, "*/*")
	if err != nil {
		return total, err
	}
	jobs, err := control.ResultOf[[]aem.JobStatus](reply)
	for _, j := range jobs {
		total.Detected += j.Counts.Detected
		total.Done += j.Counts.Done
		total.Failed += j.Counts.Failed
		total.Shed += j.Counts.Shed
		total.Waiting += j.Counts.Waiting
		total.Running += j.Counts.Running
	}
	return total, err
}
