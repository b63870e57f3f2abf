package supervisor

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/source"
)

// emit publishes to app/topic and waits for the fate.
func (r *run) emit(topic, data string) control.Fate {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	emitted, err := r.Emit(ctx, topic, []byte(data))
	if err != nil {
		r.t.Fatalf("emit %s: %v", topic, err)
	}
	return emitted.Fates[0]
}

func TestReplyReachesWhoAsked(t *testing.T) {
	r := startRun(t, nil, topicApp(role(t, "upper")))
	if fate := r.emit("a/t", "text"); fate.Outcome != "done" || string(fate.Reply) != "TEXT" {
		t.Errorf("fate %s, reply %q", fate.Outcome, fate.Reply)
	}
}

// topicApp is an app with one topic, a/t, and its handler.
func topicApp(h executor.Spec) App {
	return testApp("a", []executor.Spec{h}, event("t", source.Topic{Name: "a/t"}, h.Name))
}

// TestFateOfEachEnd_R092 has the rules of fates, one row for each way a handler can end.
func TestFateOfEachEnd_R092(t *testing.T) {
	for _, c := range []struct {
		name     string
		handler  executor.Spec
		change   func(*executor.Spec)
		outcome  string
		reason   aem.Reason
		attempts int    // seen by the dead letter
		log      string // in the report of the failure
	}{
		{name: "exit 0", handler: shell("exit 0"), outcome: "done"},
		{name: "exit in success", handler: shell("exit 7"), change: func(h *executor.Spec) { h.Success = []int{0, 7} }, outcome: "done"},
		{name: "any success", handler: shell("exit 9"), change: func(h *executor.Spec) { h.AnySuccess = true }, outcome: "done"},
		{name: "exit 1", handler: shell("echo why >&2; exit 1"), outcome: "failed", reason: "exit", attempts: 4, log: `exit=1 after=`},
		{name: "exit 64", handler: shell("exit 64"), outcome: "failed", reason: "exit", attempts: 1, log: "attempt=1/4"},
		{name: "exit 75", handler: shell("exit 75"), outcome: "failed", reason: "exit", attempts: 4, log: "exit=75"},
		{name: "exit 100", handler: shell("exit 100"), outcome: "failed", reason: "exit", attempts: 1},
		{name: "signal", handler: shell("kill -9 $$"), outcome: "failed", reason: "signal", attempts: 4, log: "signal=KILL"},
		{name: "SIGSYS", handler: shell("kill -SYS $$"), outcome: "failed", reason: "seccomp", attempts: 1},
		{name: "timeout", handler: shell("sleep 60"), change: func(h *executor.Spec) { h.Timeout, h.Retries = 50*time.Millisecond, 0 },
			outcome: "failed", reason: "timeout", attempts: 1, log: "signal=TERM"},
		{name: "TERM ignored", handler: shell("trap '' TERM; sleep 60; sleep 60"), change: func(h *executor.Spec) {
			h.Timeout, h.KillAfter, h.Retries = aemtest.Slow(50*time.Millisecond), 50*time.Millisecond, 0
		}, outcome: "failed", reason: "timeout", attempts: 1, log: "signal=KILL"},
		{name: "attempt in the environment", handler: shell(`test "$AEM_ATTEMPT" = 3`), outcome: "done"},
		{name: "data on stdin", handler: shell(`test "$(cat)" = text`), outcome: "done"},
		{name: "answer done", handler: role(t, "done"), outcome: "done"},
		{name: "answer on the third attempt", handler: role(t, "third"), outcome: "done"},
		{name: "answer fail", handler: role(t, "fail"), outcome: "failed", reason: "handler", attempts: 1, log: `err="no use"`},
		{name: "answer retry", handler: role(t, "retry"), outcome: "failed", reason: "handler", attempts: 4, log: `err="not yet"`},
		{name: "panic", handler: role(t, "crash"), outcome: "failed", reason: "exit", attempts: 4, log: "panic: crash"},
		{name: "killed by itself", handler: role(t, "die"), outcome: "failed", reason: "signal", attempts: 4},
		{name: "exits before hello", handler: role(t, "quit"), outcome: "failed", reason: "hello", attempts: 4, log: "handover"},
		{name: "never says hello", handler: role(t, "mute"), change: func(h *executor.Spec) { h.ReadyTimeout, h.Retries = 50*time.Millisecond, 0 },
			outcome: "failed", reason: "hello", attempts: 1, log: "handover"},
		{name: "garbage on the channel", handler: role(t, "garbage"), change: func(h *executor.Spec) { h.Retries = 0 },
			outcome: "failed", reason: "channel", attempts: 1, log: "read message"},
		{name: "closes its channel", handler: role(t, "hangup"), change: func(h *executor.Spec) { h.Retries = 0 },
			outcome: "failed", reason: "channel", attempts: 1, log: "closed its channel"},
		{name: "stops itself", handler: role(t, "freeze"), change: func(h *executor.Spec) {
			h.Timeout, h.KillAfter, h.Retries = 50*time.Millisecond, 50*time.Millisecond, 0
		}, outcome: "failed", reason: "timeout", attempts: 1},
		{name: "fills its standard output", handler: role(t, "noisy"), outcome: "done"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.change != nil {
				c.change(&c.handler)
			}
			r := startRun(t, nil, topicApp(c.handler))
			fate := r.emit("a/t", "text")
			if fate.Outcome != c.outcome || fate.Reason != c.reason {
				t.Errorf("fate %s %s, want %s %s", fate.Outcome, fate.Reason, c.outcome, c.reason)
			}
			letters := r.dead.match(func(*letter) bool { return true })
			if (c.outcome == "failed") != (len(letters) == 1) {
				t.Fatalf("%d dead letters", len(letters))
			}
			if len(letters) == 1 && (letters[0].Attempts != c.attempts || !strings.Contains(letters[0].Failure, c.log)) {
				t.Errorf("letter has %d attempts, want %d, and %q, want %q in it", letters[0].Attempts, c.attempts, letters[0].Failure, c.log)
			}
			r.counts("a/t")
		})
	}
}

func TestSpawnFailureGivesTheAttemptBack_R049(t *testing.T) {
	h := shell("exit 127")
	h.Restart = executor.Backoff{First: time.Millisecond, Factor: 1, Max: time.Millisecond}
	r := startRun(t, nil, topicApp(h))
	r.ask(func() { r.publish("a/t", nil) })
	deadline := time.Now().Add(patience)
	for strings.Count(r.logs.String(), "no agent") < 6 { // more than there are attempts
		if time.Now().After(deadline) {
			t.Fatal("it was not tried again")
		}
		time.Sleep(time.Millisecond)
	}
	if c := r.counts("a/t"); c.Failed != 0 || c.Waiting+c.Running != 1 {
		t.Errorf("the event was lost: %+v", c)
	}
}

// TestAnsweredHandlerIsNotTimedOut has a handler answer, and not end when it is told to: its event's time is over then.
func TestAnsweredHandlerIsNotTimedOut(t *testing.T) {
	h := role(t, "linger")
	h.Timeout, h.KillAfter = 50*time.Millisecond, 150*time.Millisecond
	r := startRun(t, nil, topicApp(h))
	if fate := r.emit("a/t", ""); fate.Outcome != "done" {
		t.Errorf("fate %s %s", fate.Outcome, fate.Reason)
	}
	for deadline := time.Now().Add(patience); r.alive() > 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
}
