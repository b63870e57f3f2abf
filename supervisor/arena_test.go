package supervisor

import (
	"fmt"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
)

// TestEventsLargerThanTheArena_R041_R088 has events of every size reach every life: arenas are as large as they must
// be, up to the handler's limit.
func TestEventsLargerThanTheArena_R041_R088(t *testing.T) {
	lives := []executor.Life{executor.Cold, executor.Capsule, executor.Resident}
	for i := range 2 * len(lives) {
		life, way := lives[i/2], []executor.Copy{executor.DirectCopy, executor.SharedCopy}[i%2]
		t.Run(string(life)+" "+string(way), func(t *testing.T) {
			h := role(t, "size")
			h.Life, h.Size, h.ArenaSize, h.ArenaMax, h.Copy = life, 1, 128<<10, 16<<20, way
			r := startRun(t, nil, topicApp(h))
			for _, size := range []int{0, 1, 64 << 10, 100 << 10, 1 << 20, 3 << 20, 15 << 20, 17} {
				fate := r.emit("a/t", string(make([]byte, size)))
				if want := fmt.Sprint(size, " 1"); fate.Outcome != "done" || string(fate.Reply) != want {
					t.Errorf("%d bytes: %s %s, reply %q, want %q", size, fate.Outcome, fate.Reason, fate.Reply, want)
				}
			}
			if fate := r.emit("a/t", string(make([]byte, 16<<20))); fate.Outcome != "failed" || fate.Reason != aem.ReasonChannel {
				t.Errorf("more than the arena may grow to: %s %s", fate.Outcome, fate.Reason)
			}
			if fate := r.emit("a/t", "after"); fate.Outcome != "done" {
				t.Errorf("after it: %s %s", fate.Outcome, fate.Reason)
			}
		})
	}
}

// TestArenaGrowsTo256MiB_R088 takes a resident's arena from 64 KiB to the largest event that can be emitted.
func TestArenaGrowsTo256MiB_R088(t *testing.T) {
	for _, way := range []executor.Copy{executor.DirectCopy, executor.SharedCopy} {
		h := role(t, "size")
		h.Life, h.Size, h.ArenaSize, h.ArenaMax, h.Copy = executor.Resident, 1, 64<<10, 257<<20, way
		a := topicApp(h)
		a.Limits.QueueBytes = 512 << 20
		r := startRun(t, nil, a)
		for _, size := range []int{0, 256 << 20, 1} {
			if fate := r.emit("a/t", string(make([]byte, size))); string(fate.Reply) != fmt.Sprint(size, " 1") {
				t.Errorf("%s, %d bytes: %s %s, reply %q", way, size, fate.Outcome, fate.Reason, fate.Reply)
			}
		}
		r.stop()
	}
}

// TestDeathAtGrowthGivesTheEventBack has a handler that is gone from its channel when it is asked for a larger arena: the
// event is another process's, at its first attempt.
func TestDeathAtGrowthGivesTheEventBack(t *testing.T) {
	h := role(t, "deaf")
	h.Life, h.Size, h.ArenaSize, h.Retries, h.KillAfter = executor.Resident, 1, 64<<10, 0, 100*time.Millisecond
	r := startRun(t, nil, topicApp(h))
	r.emit("a/t", "closes its channel")
	if fate := r.emit("a/t", string(make([]byte, 1<<20))); fate.Outcome != "done" {
		t.Errorf("fate %s %s", fate.Outcome, fate.Reason)
	}
	r.logged("grow arena: send to handler: broken pipe")
}

// TestArenaIsAccountedFor_R041 has a handler's arenas tell what they have seen, those of processes that are gone too.
func TestArenaIsAccountedFor_R041(t *testing.T) {
	for life, live := range map[executor.Life]int{executor.Cold: 0, executor.Capsule: 1, executor.Resident: 1} {
		t.Run(string(life), func(t *testing.T) {
			h := role(t, "size")
			h.Life, h.Size, h.ArenaSize = life, 1, 64<<10
			r := startRun(t, nil, topicApp(h))
			for _, size := range []int{0, 1000, 1 << 20} {
				r.emit("a/t", string(make([]byte, size)))
			}
			var a *aem.HandlerArena
			settled := func() bool { // those that served an event are gone, the next ones are there
				r.ask(func() { a = r.jobs.registration(r.jobNamed("a/t")).pool.Arena() })
				return len(a.Processes) == live && a.Used == 0 && (live == 0 || a.Processes[0].Size > 0)
			}
			for deadline := time.Now().Add(patience); !settled() && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			}
			if grown := uint64(min(live, 1)); a.Copies != 3 || a.Bytes < 1<<20+1000 || a.Peak < 1<<20 || a.Grown != grown || (a.Size > 0) != (live > 0) {
				t.Errorf("%+v", a)
			}
		})
	}
	h := shell("exit 0")
	r := startRun(t, nil, topicApp(h))
	r.ask(func() {
		if a := r.jobs.registration(r.jobNamed("a/t")).pool.Arena(); a != nil {
			t.Errorf("a handler without an arena: %+v", a)
		}
	})
}

// TestAnswersInAnyOrder_R041 has blocks of all sizes end in another order than they began in.
func TestAnswersInAnyOrder_R041(t *testing.T) {
	h := role(t, "backwards")
	h.Life, h.Size, h.ArenaSize = executor.Resident, 1, 1<<20
	r := startRun(t, nil, topicApp(h))
	const events = 400
	for i := range events {
		r.ask(func() { r.publish("a/t", make([]byte, i*7919%(150<<10))) })
		if i%100 == 99 { // not more than the app may have
			r.until("a/t", "done", func(c aem.Counts) bool { return c.Done == uint64(i+1) })
		}
	}
}
