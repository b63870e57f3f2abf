package supervisor

import (
	"slices"
	"strings"
	"testing"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/source"
)

// TestDeathIsTold has handlers that end in the middle of an event, at each attempt, and others whose answer or exit status
// says that they failed: the first are told of, so that somebody puts right what they had begun.
func TestDeathIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		handler executor.Spec
		data    string
		want    []string // reasons, of the attempts in order
	}{
		"killed":                 {role(t, "die"), "", []string{"signal", "signal"}},
		"ended without answer":   {role(t, "poison"), "poison", []string{"exit", "exit"}},
		"timed out":              {hurried(role(t, "hang")), "", []string{"timeout", "timeout"}},
		"answers that it failed": {role(t, "fail"), "", nil},
		"exits by its rules":     {shell("exit 65"), "", nil},
		"killed, without an SDK": {shell("kill -9 $$"), "", []string{"signal", "signal"}},
	} {
		t.Run(name, func(t *testing.T) {
			var n told
			watch, functions := n.watcher("a", "supervisor.died")
			c.handler.Retries = 1
			r := startRun(t, functions, watch, topicApp(c.handler))
			if fate := r.emit("a/t", c.data); fate.Outcome != "failed" {
				t.Fatalf("%+v", fate)
			}
			for i, line := range n.await(t, len(c.want)) {
				if !strings.HasPrefix(line, "supervisor.died subject=a job=a/t died=") ||
					!strings.HasSuffix(line, " reason="+c.want[i]+" attempts="+itoa(int64(i+1))+" count=1") {
					t.Errorf("told %q", line)
				}
			}
		})
	}
}

// hurried is a handler with little time.
func hurried(h executor.Spec) executor.Spec {
	h.Timeout, h.KillAfter = h.Backoff.First, h.Backoff.First
	return h
}

// TestBeforeTheFirstAndAfterTheLast: a program's own lines before its run function are done before its first event, those
// behind it after its last, when it is told to end.
func TestBeforeTheFirstAndAfterTheLast(t *testing.T) {
	h := role(t, "around")
	h.Life, h.Size = executor.Resident, 1
	r := startRun(t, nil, testApp("a", []executor.Spec{h}, event("t", source.Topic{Name: "a/t"}, "h")))
	r.publishAll("a/t", 2)
	r.until("a/t", "done", func(c aem.Counts) bool { return c.Done == 2 })
	r.stop()
	if said, want := r.said(), []string{"it begins", "an event", "an event", "it ends"}; !slices.Equal(said, want) {
		t.Errorf("it said %q, want %q", said, want)
	}
}
