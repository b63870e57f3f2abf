package supervisor

import (
	"context"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/source"
)

// TestLoopIsAboveRealtimeThreads has a thread in the class SCHED_RR, and a callback, which runs on the loop.
func TestLoopIsAboveRealtimeThreads(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	thread, callback := builtin("thread", "look", nil), builtin("callback", "look", nil)
	thread.Agent, thread.Realtime = executor.Thread, 7
	seen := make(chan string, 1)
	look := func(context.Context, *aem.Event) error {
		seen <- realtime()
		return nil
	}
	r := startRun(t, func(o *Options) { o.Functions = map[string]executor.Function{"look": look} },
		testApp("a", []executor.Spec{thread, callback},
			event("thread", source.Topic{Name: "a/thread"}, "thread"), event("loop", source.Topic{Name: "a/loop"}, "callback")),
		boosting(12))
	for topic, want := range map[string]string{"a/thread": "7 2", "a/loop": "13 2"} {
		r.ask(func() { r.publish(topic, nil) })
		if got := <-seen; got != want {
			t.Errorf("%s runs with %s, want %s", topic, got, want)
		}
	}
	if got := realtime(); got != "0 0" {
		t.Errorf("other threads run with %s", got)
	}
}

// boosting is an app that nothing happens in, whose threads may be raised to a real-time priority.
func boosting(realtime int) App {
	b := testApp("b", []executor.Spec{builtin("h", "log", nil)})
	b.Boost = executor.Boost{{From: 5, Realtime: 3}, {From: 10, Realtime: realtime}}
	return b
}

// realtime is the calling thread's real-time priority and its policy, man 5 proc_pid_stat.
func realtime() string {
	text, err := os.ReadFile("/proc/thread-self/stat")
	if err != nil {
		return err.Error()
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	return fields[37] + " " + fields[38]
}

// TestThreadsThatComputeDoNotKeepTheLoop has more of them than there are CPUs.
func TestThreadsThatComputeDoNotKeepTheLoop(t *testing.T) {
	const threads = 8
	compute := builtin("compute", "compute", nil)
	compute.Agent, compute.Concurrency = executor.Thread, threads
	var stop atomic.Bool
	r := startRun(t, func(o *Options) {
		o.Functions = map[string]executor.Function{"compute": func(context.Context, *aem.Event) error {
			for !stop.Load() {
			}
			return nil
		}}
	}, testApp("a", []executor.Spec{compute}, event("t", source.Topic{Name: "a/t"}, "compute")))
	defer stop.Store(true)
	for range threads {
		r.ask(func() { r.publish("a/t", nil) })
	}
	turns := make([]time.Duration, 51)
	for i := range turns {
		began := time.Now()
		r.ask(func() {})
		turns[i] = time.Since(began)
	}
	slices.Sort(turns)
	// Behind goroutines that compute, a turn waits until one of them is preempted, after 10 ms.
	if median := turns[len(turns)/2]; median > 8*time.Millisecond {
		t.Errorf("a turn of the loop takes %v", median)
	}
}
