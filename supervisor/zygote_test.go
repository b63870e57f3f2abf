package supervisor

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/policy"
)

// lying is a handler that lies.
func lying(t *testing.T, life executor.Life, lie string) executor.Spec {
	t.Helper()
	h := role(t, "zygote")
	h.Life, h.Size, h.Retries, h.ReadyTimeout = life, 1, 0, aemtest.Slow(5*time.Second)
	h.Env[lieVariable], h.Env[onceVariable] = lie, filepath.Join(t.TempDir(), "once")
	return h
}

// TestLiarsAsZygotes has zygotes, and children of theirs, that break the rules while they have an event. Each is found out,
// and its event has a fate.
func TestLiarsAsZygotes(t *testing.T) {
	brief := aemtest.Slow(time.Second)
	for _, c := range []struct{ lie, outcome, reason, log string }{
		{"no birth", "failed", "channel", fmt.Sprintf("the zygote did nothing for %v", brief)},
		{"no child", "failed", "channel", "which is no new child"},
		{"grandchild", "failed", "channel", "it is neither a child of the zygote nor in its cgroup"},
		{"twice", "failed", "channel", "which the handler does not have"},
		{"unborn", "failed", "channel", "unborn from process"},
		{"garbage", "failed", "channel", "its zygote: read message: message kind 99 is not for now"},
		{"too soon", "failed", "channel", "answer of event 0, which no child has"},
		{"answers", "failed", "channel", "answer of event 0 from process"},
		{"unasked", "failed", "channel", "which was not asked for"},
		{"no end", "failed", "channel", "its zygote ended before it told how it did"},
		{"no status", "failed", "channel", "which is no status of an end"},
		{"rich", "done", "", ""},
		{"dies", "done", "", ""},
		{"dies instead", "failed", "signal", "signal=KILL"},
	} {
		t.Run(c.lie, func(t *testing.T) {
			t.Parallel()
			h := lying(t, executor.Zygote, c.lie)
			if c.lie == "no birth" || c.lie == "no end" {
				h.ReadyTimeout = brief
			}
			a := topicApp(h)
			a.Confinement.Namespaces = []policy.Namespace{} // in some, nobody leaves his cgroup
			r := startRun(t, nil, a)
			if fate := r.emit("a/t", "text"); fate.Outcome != c.outcome || string(fate.Reason) != c.reason {
				t.Errorf("fate %s %s, want %s %s", fate.Outcome, fate.Reason, c.outcome, c.reason)
			}
			r.logged(c.log)
		})
	}
}

// TestHellosThatAreRefused has handlers whose hello does not go with their life. No event is lost by it, and they are
// tried again after longer and longer waits.
func TestHellosThatAreRefused(t *testing.T) {
	done := role(t, "done")
	done.Life = executor.Zygote
	for name, c := range map[string]struct {
		handler executor.Spec
		log     string
	}{
		"resident with a flag":  {lying(t, executor.Resident, "flags"), "flags 0x80000001, asked for were 0x0"},
		"zygote with a flag":    {lying(t, executor.Zygote, "flags"), "flags 0x80000001, asked for were 0x1"},
		"zygote without a flag": {lying(t, executor.Zygote, "no flags"), "its SDK knows nothing of life"},
		"zygote in Go":          {done, "no Go program survives"},
	} {
		t.Run(name, func(t *testing.T) {
			c.handler.Restart.First = 100 * time.Millisecond
			r := startRun(t, nil, topicApp(c.handler))
			r.ask(func() { r.publish("a/t", nil) })
			r.logged(c.log)
			time.Sleep(200 * time.Millisecond)
			if n := strings.Count(r.logs.String(), "no agent"); n > 5 {
				t.Errorf("it was tried %d times", n)
			}
			if c := r.counts("a/t"); c.Waiting != 1 {
				t.Errorf("books %+v", c)
			}
		})
	}
}

// TestZygoteThatWaitsTooSoon waits for its child before it may, while the loop does not look: the child's number is nobody's
// then.
func TestZygoteThatWaitsTooSoon(t *testing.T) {
	r := startRun(t, nil, topicApp(lying(t, executor.Zygote, "reaps")))
	r.ask(func() { r.publish("a/t", nil) })
	r.logged("the loop may sleep")
	r.ask(func() { time.Sleep(time.Second) })
	r.until("a/t", "failed", func(c aem.Counts) bool { return c.Failed == 1 })
	r.logged("no such process")
}

// TestChildIsBornAfterItsZygoteDied is known by its leaf then.
func TestChildIsBornAfterItsZygoteDied(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	r := startRun(t, nil, topicApp(lying(t, executor.Zygote, "dies by birth")))
	if fate := r.emit("a/t", ""); fate.Outcome != "done" {
		t.Errorf("fate %+v", fate)
	}
	r.logged("ended by itself: signal=KILL")
}

// TestStopLetsWhatRunsFinish has a resident with events in flight, and room for more, when the supervisor is told to stop:
// kill_after is not for those.
func TestStopLetsWhatRunsFinish(t *testing.T) {
	h := role(t, "slow ahead")
	h.Life, h.Size, h.KillAfter = executor.Resident, 1, time.Millisecond
	r := startRun(t, nil, topicApp(h))
	r.publishAll("a/t", 4)
	r.until("a/t", "running", func(c aem.Counts) bool { return c.Running > 1 })
	r.stop()
	if text := r.logs.String(); strings.Contains(text, "msg=failed") {
		t.Error("an event failed at the end")
	}
}
