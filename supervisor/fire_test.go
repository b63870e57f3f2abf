package supervisor

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/source"
)

// TestFire_R172: an event that is made by a program has its facts and data for each handler, and its fates come back.
func TestFire_R172(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]string{}
	note := func(name string, err error) executor.Function {
		return func(_ context.Context, e *aem.Event) error {
			mu.Lock()
			defer mu.Unlock()
			path, _ := e.Fact("path")
			seen[name] = path + " " + string(e.Data)
			return err
		}
	}
	good, bad := builtin("good", "good", nil), builtin("bad", "bad", nil)
	bad.Retries = 0
	both := event("both", source.File{Path: "/nowhere", On: source.FileOn}, "good")
	both.Handlers, both.Start = []string{"good", "bad"}, false
	app := testApp("a", []executor.Spec{good, bad}, both)
	app.Limits.QueueBytes = 100
	r := startRun(t, func(o *Options) {
		o.Functions = map[string]executor.Function{"good": note("good", nil), "bad": note("bad", context.Canceled)}
	}, app)
	emitted, err := r.Fire(t.Context(), "a", "both", []aem.Fact{{Name: "path", Value: "/x"}}, []byte("data"))
	r.must(err)
	fates := map[string]string{}
	for _, f := range emitted.Fates {
		fates[f.Job] = f.Outcome
	}
	if fates["a/both:good"] != "done" || fates["a/both:bad"] != "failed" || seen["good"] != "/x data" || seen["bad"] != "/x data" {
		t.Errorf("fates %v of what was seen as %v", fates, seen)
	}
	for _, c := range []struct {
		event, want string
		data        int
	}{{"none", "no such job", 0}, {"both", "more than app a may queue (100)", 101}} {
		if _, err := r.Fire(t.Context(), "a", c.event, nil, make([]byte, c.data)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.event, err)
		}
	}
	r.stop()
	if _, err := r.Fire(t.Context(), "a", "both", nil, nil); err == nil {
		t.Error("it fires after the end")
	}
	for _, j := range r.Jobs() {
		if j.Counts.Detected != 1 || j.Counts.Done+j.Counts.Failed != 1 {
			t.Errorf("%s: %+v", j.Handler, j.Counts)
		}
	}
}

// TestMostEndsItsJob_R027: a job that is to have so many has as many, ends when they have their fates, and that is told.
func TestMostEndsItsJob_R027(t *testing.T) {
	ended := make(chan error, 10)
	slow := shell("sleep 0.1")
	files := event("files", source.File{Path: "/", On: source.FileOn, Existing: true}, slow.Name)
	files.Most = 3
	r := startRun(t, func(o *Options) { o.Ended = func(err error) { ended <- err } }, testApp("a", []executor.Spec{slow}, files))
	select {
	case err := <-ended:
		r.must(err)
	case <-time.After(patience):
		t.Fatal("it did not end")
	}
	if j := r.Jobs()[0]; j.State != aem.Ended || j.Counts.Done != 3 || j.Counts.Detected != 3 {
		t.Errorf("%v: %+v", j.State, j.Counts)
	}
}
