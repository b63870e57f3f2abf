package executor

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// lastCPU is the last of the CPUs that we may run on.
func lastCPU(t *testing.T) int {
	t.Helper()
	ours, err := sys.Affinity()
	if err != nil {
		t.Fatal(err)
	}
	last := 0
	for cpu := range sys.CPUs {
		if ours.IsSet(cpu) {
			last = cpu
		}
	}
	return last
}

// threadStat are the nice value, the real-time priority and the policy of the calling thread (man 5 proc_pid_stat,
// fields 19, 40 and 41).
func threadStat() string {
	text, err := os.ReadFile("/proc/thread-self/stat")
	if err != nil {
		return err.Error()
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	return fmt.Sprint(fields[16], " ", fields[37], " ", fields[38])
}

// TestThreadIsScheduledAsItsHandlerSays looks from inside each thread, and at one that has nothing of its own.
func TestThreadIsScheduledAsItsHandlerSays(t *testing.T) {
	aemtest.Require(t, aemtest.Root)     // for a negative nice value, and for the real-time class
	cpu, own := lastCPU(t), threadStat() // the tests may be nice themselves
	for _, c := range []struct {
		name string
		Scheduling
		want string // nice value, real-time priority, policy
	}{
		{"nothing", Scheduling{}, own},
		{"nice", Scheduling{Nice: new(7)}, "7 0 0"},
		{"urgent on one CPU", Scheduling{Nice: new(-3), CPUs: []int{cpu}}, "-3 0 0"},
		{"real time", Scheduling{Realtime: 5}, strings.Fields(own)[0] + " 5 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen, where := "", sys.CPUSet{}
			w := &Workplace{Functions: map[string]Function{"f": func(context.Context, *aem.Event) (err error) {
				seen = threadStat()
				where, err = sys.Affinity()
				return err
			}}}
			d, p := openFunction(t, w, Spec{Agent: Thread, Call: "f", Scheduling: c.Scheduling})
			for range 2 { // the second one finds the thread as the first one did
				if got := d.outcome(p, activation("")); got.Outcome != aem.Done {
					t.Fatalf("%v %s", got.Outcome, got.Err)
				}
				if seen != c.want {
					t.Errorf("scheduled as %s, want %s", seen, c.want)
				}
				if c.CPUs != nil && (where.Count() != 1 || !where.IsSet(cpu)) {
					t.Errorf("runs on %d CPUs, want CPU %d", where.Count(), cpu)
				}
			}
		})
	}
	if got := threadStat(); got != own {
		t.Errorf("another thread is scheduled as %s", got)
	}
}

// TestThreadThatTheHostRefusesIsNotOpened asks for CPUs that are not there, of which the kernel would say nothing.
func TestThreadThatTheHostRefusesIsNotOpened(t *testing.T) {
	w := &Workplace{Log: new(logBook).logger(), Functions: map[string]Function{"f": nil}}
	spec := Spec{Agent: Thread, Call: "f", Concurrency: 1, Scheduling: Scheduling{CPUs: []int{0, sys.CPUs - 1}}}
	if _, err := w.Open(spec, 1); err == nil || !strings.Contains(err.Error(), "set affinity: of these 2 CPUs") {
		t.Errorf("got error %v", err)
	}
}

// TestFunctionsTakeNoMemoryForAnEvent runs events when everything has been used before.
func TestFunctionsTakeNoMemoryForAnEvent(t *testing.T) {
	bothAgents(t, func(t *testing.T, agent AgentKind) {
		w := &Workplace{Functions: map[string]Function{"f": func(context.Context, *aem.Event) error { return nil }}}
		d, p := openFunction(t, w, Spec{Agent: agent, Call: "f"})
		d.completed = slices.Grow(d.completed, 10_000)
		d.started = slices.Grow(d.started, 10_000)
		a := activation("")
		run := func() {
			p.Push(a)
			p.Run(Mark{})
			if agent == Thread {
				(<-d.posted)()
			}
		}
		if got := testing.AllocsPerRun(1000, run); got != 0 {
			t.Errorf("%v allocations for an event", got)
		}
	})
}
