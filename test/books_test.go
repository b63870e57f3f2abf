package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"testing"
	"time"
)

// job is one element of `ctl list --json`, with exactly the documented keys.
type job struct {
	ID       string
	App      string
	Event    string
	Handler  string
	Type     string
	State    string
	Agent    string
	Life     *string
	Priority int
	Last     *time.Time
	Next     *time.Time
	Hold     *struct {
		Reason string
		Count  int
		Since  time.Time
	}
	Counts counts
}

// counts are the books of a job.
type counts struct{ Detected, Done, Failed, Expired, Shed, Waiting, Running int }

func (c counts) balanced() bool {
	return c.Detected == c.Done+c.Failed+c.Expired+c.Shed+c.Waiting+c.Running
}

// settled is how many events have their fate.
func (c counts) settled() int { return c.Done + c.Failed + c.Expired + c.Shed }

// output runs the program and returns its exit status, -1 when it did not end in time, and its standard output.
func (s *supervisor) output(args ...string) (status int, stdout string) {
	s.t.Helper()
	cmd := s.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	alarm := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer alarm.Stop()
	err := cmd.Wait()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	if errs.Len() > 0 {
		s.t.Logf("aem-exec %q: %s", args, errs.String())
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// must runs the program, which is to succeed.
func (s *supervisor) must(args ...string) (stdout string) {
	s.t.Helper()
	status, stdout := s.output(args...)
	if status != 0 {
		s.t.Fatalf("aem-exec %q: exit status %d\n%s", args, status, stdout)
	}
	return stdout
}

// list is every job, whose books are checked to be balanced.
func (s *supervisor) list() []job {
	s.t.Helper()
	var jobs []job
	decodeStrictly(s.t, s.must("ctl", "list", "--json"), &jobs)
	for _, j := range jobs {
		if !j.Counts.balanced() {
			s.t.Errorf("%s/%s:%s: the books are not balanced: %+v", j.App, j.Event, j.Handler, j.Counts)
		}
	}
	return jobs
}

// decodeStrictly reads JSON that may have no other keys than v.
func decodeStrictly(t *testing.T, text string, v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

// decode reads JSON.
func decode(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

// job is the job of app/event.
func (s *supervisor) job(app, event string) job {
	s.t.Helper()
	for _, j := range s.list() {
		if j.App == app && j.Event == event {
			return j
		}
	}
	s.t.Fatalf("no job %s/%s", app, event)
	return job{}
}

// until waits until the job of app/event is as wanted.
func (s *supervisor) until(app, event, what string, want func(job) bool) job {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		j := s.job(app, event)
		if want(j) {
			return j
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s/%s is not %s: %+v", app, event, what, j)
		}
	}
}

// settled waits until n events of app/event have their fate.
func (s *supervisor) settled(app, event string, n int) counts {
	s.t.Helper()
	return s.until(app, event, "settled", func(j job) bool { return j.Counts.settled() >= n }).Counts
}
