package supervisor

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/source"
)

// alive is how many processes there are now, of all apps.
func (r *run) alive() (n int) {
	r.ask(func() { n = len(r.orphans.own) })
	return n
}

// TestProcessesAreNeverMoreThanTheLimit_R103 has more events than processes may live, beside an app that must not notice.
func TestProcessesAreNeverMoreThanTheLimit_R103(t *testing.T) {
	capsule := role(t, "slow")
	capsule.Life, capsule.Size = executor.Capsule, 4
	for name, h := range map[string]executor.Spec{"cold": shell("sleep 0.02"), "capsule": capsule} {
		t.Run(name, func(t *testing.T) {
			var n told
			watch, functions := n.watcher("a", "supervisor.limit")
			a := topicApp(h)
			a.Limits.Processes = 3
			good := testApp("good", []executor.Spec{builtin("h", "log", nil)}, event("t", source.Topic{Name: "good/t"}, "h"))
			r := startRun(t, functions, watch, a, good)
			r.publishAll("a/t", 40)
			said := n.await(t, 1)
			if !strings.HasPrefix(said[0], "supervisor.limit subject=a limit=processes value=3 used=3 reached=1 errno=EAGAIN") {
				t.Errorf("told %q", said)
			}
			if fate := r.emit("good/t", ""); fate.Outcome != "done" {
				t.Errorf("the other app: %v", fate)
			}
			r.until("a/t", "done", func(c aem.Counts) bool {
				if n := r.alive(); n > 3 {
					t.Errorf("%d processes are alive", n)
				}
				return c.Done == 40
			})
			for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
				over := false
				r.ask(func() { over = r.apps[1].gauges.processes.Since.IsZero() })
				if over {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("the limit is still reached")
				}
			}
		})
	}
}

// TestPlacesGoToEventsInTheirOrder has capsules that are used all the time beside a cold handler whose event waits for a
// place, and residents, whose places nobody else takes.
func TestPlacesGoToEventsInTheirOrder_R037(t *testing.T) {
	capsule, resident, cold := role(t, "slow"), role(t, "die"), shell("echo cold")
	capsule.Life, capsule.Size = executor.Capsule, 2
	resident.Name, resident.Life, resident.Size, resident.Retries = "resident", executor.Resident, 1, 0
	cold.Name = "cold"
	a := testApp("a", []executor.Spec{capsule, resident, cold}, event("t", source.Topic{Name: "a/t"}, "h"),
		event("r", source.Topic{Name: "a/r"}, "resident"), event("c", source.Topic{Name: "a/c"}, "cold"))
	a.Limits.Processes = 3
	r := startRun(t, nil, a)
	for round := range 5 {
		r.publishAll("a/t", 20)
		r.publishAll("a/r", 1) // its process is gone with it, and made again
		r.publishAll("a/c", 1)
		r.publishAll("a/t", 20)
		r.until("a/c", "done", func(c aem.Counts) bool { return c.Done == uint64(round+1) })
		if c := r.counts("a/t"); c.Waiting < 10 {
			t.Errorf("round %d: the cold event came after those that were behind it: %+v", round, c)
		}
		r.until("a/r", "failed", func(c aem.Counts) bool { return c.Failed == uint64(round+1) })
		r.until("a/t", "done", func(c aem.Counts) bool { return c.Done == uint64(40*(round+1)) })
	}
	r.ask(func() {
		if p := r.apps[0].gauges.processes; p.Peak > 3 || p.Reached == 0 {
			t.Errorf("processes: %+v", p)
		}
	})
}

// TestCapsulesAreMadeAgainWhenNoEventWantsTheirPlaces: a bank that had to wait is full in the end.
func TestCapsulesAreMadeAgainWhenNoEventWantsTheirPlaces(t *testing.T) {
	capsule, cold := role(t, "done"), shell("sleep 0.05")
	capsule.Life, capsule.Size = executor.Capsule, 2
	cold.Name = "cold"
	a := testApp("a", []executor.Spec{capsule, cold}, event("t", source.Topic{Name: "a/t"}, "h"), event("c", source.Topic{Name: "a/c"}, "cold"))
	a.Limits.Processes = 2
	r := startRun(t, nil, a)
	for round := range 3 {
		r.publishAll("a/t", 2)
		r.publishAll("a/c", 4)
		r.until("a/c", "done", func(c aem.Counts) bool { return c.Done == uint64(4*(round+1)) })
		for deadline := time.Now().Add(patience); r.alive() != 2; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal(fmt.Sprint(r.alive(), " capsules"))
			}
		}
	}
}
