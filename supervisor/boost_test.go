package supervisor

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/executor"
	hd "github.com/aem-exec/aem-exec/handler"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/source"
)

// scheduled does to its own thread what its event says, and replies how that is scheduled.
func scheduled(_ context.Context, e *hd.Event) error {
	verb, argument, _ := strings.Cut(string(e.Data), " ")
	switch verb {
	case "nice":
		nice, err := strconv.Atoi(argument)
		if err == nil {
			err = sys.SetNice(nice)
		}
		if err != nil {
			return hd.Fail(err)
		}
	case "gate":
		for _, err := os.Stat(argument); err != nil; _, err = os.Stat(argument) {
			time.Sleep(time.Millisecond)
		}
	}
	return e.Reply([]byte(schedule(0)))
}

// schedule is how a thread is scheduled: its nice value, its real-time priority and its class.
func schedule(tid int) string {
	a, err := sys.Scheduling(tid)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("nice %d rt %d class %d", a.Nice, a.Priority, a.Policy)
}

const (
	plainly  = "nice 0 rt 0 class 0"
	nicely   = "nice -5 rt 0 class 0"
	urgently = "nice 0 rt 10 class 2"
)

// boosted is app a with levels, and a topic for each of some priorities: a/p10 and so on.
func boosted(h executor.Spec) App {
	a := testApp("a", []executor.Spec{h})
	for _, p := range []aem.Priority{10, 20, 25} {
		e := event(fmt.Sprintf("p%d", p), source.Topic{Name: fmt.Sprintf("a/p%d", p)}, h.Name)
		e.Priority = p
		a.Events = append(a.Events, e)
	}
	a.Limits.PriorityMax = 31
	a.Boost = executor.Boost{{From: 15, Nice: new(-5)}, {From: 22, Realtime: 10}}
	return a
}

// eventually waits until something is as wanted.
func eventually(t *testing.T, what string, got func() string, want string) {
	t.Helper()
	for deadline := time.Now().Add(patience); got() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: %s, want %s", what, got(), want)
		}
	}
}

// pid is the process of the only handler, once it is there.
func (r *run) pid() (pid int) {
	r.t.Helper()
	eventually(r.t, "processes", func() string {
		r.ask(func() {
			if all := r.pools[0].Arena().Processes; len(all) > 0 {
				pid = all[0].PID
			}
		})
		return fmt.Sprint(pid > 0)
	}, "true")
	return pid
}

// boosts is how many system calls were made to raise threads and to put them back.
func (r *run) boosts() (n uint64) {
	r.ask(func() { n = r.apps[0].work.Booster.Calls })
	return n
}

// TestThreadHasItsEventsLevel_R084_R162_R187_R200 looks from inside the handler of each life, and at what lasts from
// outside when it has nothing to do.
func TestThreadHasItsEventsLevel_R084_R162_R187_R200(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	for _, life := range []executor.Life{executor.Cold, executor.Capsule, executor.Resident} {
		t.Run(string(life), func(t *testing.T) {
			h := role(t, "scheduled")
			h.Life, h.Size = life, 1
			r := startRun(t, nil, boosted(h))
			for _, c := range []struct{ topic, want string }{
				{"a/p10", plainly}, {"a/p25", urgently}, {"a/p20", nicely}, {"a/p20", nicely}, {"a/p10", plainly}, {"a/p25", urgently},
			} {
				if got := string(r.emit(c.topic, "").Reply); got != c.want {
					t.Errorf("%s: %s, want %s", c.topic, got, c.want)
				}
			}
			if life == executor.Resident {
				pid := r.pid()
				eventually(t, "with nothing to do", func() string { return schedule(pid) }, plainly)
				if a, err := sys.Scheduling(pid); err != nil || a.Flags != 0 {
					t.Errorf("flags %#x are left, %v", a.Flags, err)
				}
			}
		})
	}
}

// TestSliceIsSetAndPutBack_R188 changes neither nice value nor class, and so nobody's share of the processor.
func TestSliceIsSetAndPutBack_R188(t *testing.T) {
	if _, err := executor.OpenBooster(executor.Boost{{Slice: time.Millisecond}}); err != nil {
		return // TestBoostIsRefusedByName knows where it must not be
	}
	h := role(t, "scheduled")
	h.Life, h.Size = executor.Resident, 1
	a := boosted(h)
	a.Boost = executor.Boost{{From: 15, Slice: 700 * time.Microsecond}, {From: 22, Slice: 300 * time.Microsecond}}
	r := startRun(t, nil, a)
	pid := r.pid()
	slice := func() string {
		a, err := sys.Scheduling(pid)
		if err != nil || a.Flags != 0 || a.Policy != sys.SCHED_OTHER {
			t.Errorf("flags %#x, class %d, %v", a.Flags, a.Policy, err)
		}
		return time.Duration(a.Runtime).String()
	}
	before, gate := slice(), filepath.Join(t.TempDir(), "gate")
	r.ask(func() { r.publish("a/p20", []byte("gate "+gate)) })
	eventually(t, "with an event", slice, "700µs")
	r.ask(func() { r.publish("a/p25", nil) })
	eventually(t, "with a more urgent one in line", slice, "300µs")
	if err := os.WriteFile(gate, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	eventually(t, "with nothing to do", slice, before)
}

// TestProgramBeginsAtItsEventsLevel_R084 has programs that know nothing of us.
func TestProgramBeginsAtItsEventsLevel_R084(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	h := handler("h", "/bin/cat", "/proc/self/stat")
	h.Handover, h.Nice = executor.None, new(3)
	r := startRun(t, nil, boosted(h))
	for _, topic := range []string{"a/p25", "a/p20", "a/p10"} {
		r.emit(topic, "")
	}
	r.stop()
	var seen []string
	for _, line := range r.said() {
		fields := strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
		seen = append(seen, fmt.Sprintf("nice %s rt %s class %s", fields[16], fields[37], fields[38]))
	}
	if got, want := strings.Join(seen, ", "), "nice 3 rt 10 class 2, "+nicely+", nice 3 rt 0 class 0"; got != want {
		t.Errorf("they were scheduled as %s, want %s", got, want)
	}
}

// TestChangeOfItsOwnIsKept_R188 has a handler change its nice value while it is raised by nice, and by real time.
func TestChangeOfItsOwnIsKept_R188(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	h := role(t, "scheduled")
	h.Life, h.Size = executor.Resident, 1
	r := startRun(t, nil, boosted(h))
	pid := r.pid()
	for _, c := range []struct {
		topic, data, want, after string
		calls                    uint64 // until it is let go: to look and to set, both ways
	}{
		{"a/p20", "", nicely, plainly, 4},
		{"a/p20", "nice 7", "nice 7 rt 0 class 0", "nice 7 rt 0 class 0", 4}, // SCHED_RESET_ON_FORK was ours
		{"a/p20", "", nicely, "nice 7 rt 0 class 0", 4},
		{"a/p25", "nice 9", "nice 9 rt 10 class 2", "nice 9 rt 0 class 0", 4},
		{"a/p10", "nice 11", "nice 11 rt 0 class 0", "nice 11 rt 0 class 0", 0},
		{"a/p20", "", nicely, "nice 11 rt 0 class 0", 4},
	} {
		before := r.boosts()
		if got := string(r.emit(c.topic, c.data).Reply); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.topic, c.data, got, c.want)
		}
		eventually(t, "system calls", func() string { return fmt.Sprint(r.boosts() - before) }, fmt.Sprint(c.calls))
		if got := schedule(pid); got != c.after {
			t.Errorf("after %s %s: %s, want %s", c.topic, c.data, got, c.after)
		}
	}
}

// TestOneLevelCostsNoSystemCall_R189 has many events of one level go one after the other through one handler.
func TestOneLevelCostsNoSystemCall_R189(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	h := role(t, "scheduled")
	h.Life, h.Size, h.Concurrency = executor.Resident, 1, 1
	r := startRun(t, nil, boosted(h))
	pid := r.pid()
	before := r.boosts()
	r.publishAll("a/p20", 200)
	r.until("a/p20", "done", func(c aem.Counts) bool { return c.Done == 200 })
	eventually(t, "afterwards", func() string { return schedule(pid) }, plainly)
	if got := r.boosts() - before; got != 4 { // one to look and one to set, twice
		t.Errorf("%d system calls for 200 events", got)
	}
	if u := r.usageOf(control.Peer{}, "a")[0]; u.Boost != r.boosts() {
		t.Errorf("usage tells of %d", u.Boost)
	}
}

// TestWhatWaitsRaisesWhoIsBusy_R200: a running handler is not interrupted for an event of higher priority, but raised.
func TestWhatWaitsRaisesWhoIsBusy_R200(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	h := role(t, "scheduled")
	h.Life, h.Size, h.Concurrency = executor.Resident, 1, 1
	r := startRun(t, nil, boosted(h))
	pid, gate := r.pid(), filepath.Join(t.TempDir(), "gate")
	r.ask(func() { r.publish("a/p10", []byte("gate "+gate)) })
	r.until("a/p10", "running", func(c aem.Counts) bool { return c.Running == 1 })
	if got := schedule(pid); got != plainly {
		t.Errorf("by itself it is at %s", got)
	}
	r.ask(func() { r.publish("a/p20", nil) })
	eventually(t, "with an event behind it", func() string { return schedule(pid) }, nicely)
	p := aem.Priority(26)
	if reply := r.evctl("a/p20", control.Request{Op: control.OpPriority, Priority: &p}); reply.Err() != nil {
		t.Fatal(reply.Err())
	}
	eventually(t, "when that became more urgent", func() string { return schedule(pid) }, "nice -5 rt 10 class 2")
	if err := os.WriteFile(gate, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	r.until("a/p20", "done", func(c aem.Counts) bool { return c.Done == 1 })
	eventually(t, "afterwards", func() string { return schedule(pid) }, plainly)
}

// TestCopyOfAZygoteIsRaised_R084 has a child wait until it is.
func TestCopyOfAZygoteIsRaised_R084(t *testing.T) {
	aemtest.Require(t, aemtest.Root, aemtest.Python)
	script := filepath.Join(t.TempDir(), "handler.py")
	text := `
import aem, time
def schedule():
    f = open("/proc/thread-self/stat").read().rpartition(")")[2].split()
    return "nice %s rt %s class %s" % (f[16], f[37], f[38])
def handle(e):
    want = bytes(e.data).decode()
    end = time.monotonic() + 20
    while schedule() != want and time.monotonic() < end:
        time.sleep(0.001)
    return schedule().encode()
aem.run(handle)
`
	if err := os.WriteFile(script, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	sdk, err := filepath.Abs("../sdk/python")
	if err != nil {
		t.Fatal(err)
	}
	h := handler("h", "python3", script)
	h.Life, h.Size, h.Env = executor.Zygote, 1, map[string]string{"PYTHONPATH": sdk, "PYTHONDONTWRITEBYTECODE": "1"}
	r := startRun(t, nil, boosted(h))
	for _, c := range []struct{ topic, want string }{{"a/p25", urgently}, {"a/p20", nicely}, {"a/p10", plainly}} {
		if got := string(r.emit(c.topic, c.want).Reply); got != c.want {
			t.Errorf("%s: %s, want %s", c.topic, got, c.want)
		}
	}
	pid := r.pid()
	eventually(t, "the zygote", func() string { return schedule(pid) }, plainly)
}

// TestRealtimeWantsTimeInItsGroup_R122: where groups of cgroup v1 have real-time budgets, an app with a CPU group of its
// own has none, and is told so at the start.
func TestRealtimeWantsTimeInItsGroup_R122(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	_, err := os.Stat("/sys/fs/cgroup/cpu/cpu.rt_runtime_us")
	budgets := err == nil
	a := boosted(role(t, "done"))
	a.Limits.CPU = 1
	s, err := New(Options{Apps: []App{a}})
	if s != nil {
		s.close()
	}
	if budgets && (err == nil || !strings.Contains(err.Error(), "app.a.handler.h: make process: boost:") || !strings.Contains(err.Error(), "cpu.rt_runtime_us")) {
		t.Errorf("a group without real time: %v", err)
	}
	if !budgets && err != nil {
		t.Errorf("without such budgets: %v", err)
	}
}

// TestHelloNamesAThreadOfItsOwn: nobody else's thread is raised for a handler.
func TestHelloNamesAThreadOfItsOwn(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	h := role(t, "impostor")
	h.Retries = 0
	r := startRun(t, nil, boosted(h))
	fate := r.emit("a/p20", "")
	if fate.Outcome != "failed" || fate.Reason != aem.ReasonChannel {
		t.Errorf("fate %s %s", fate.Outcome, fate.Reason)
	}
	r.logged("hello names thread 77777, which the process does not have")
}

// TestHandlerOnAnotherThreadIsRaised has one whose handlers do not run on its first thread.
func TestHandlerOnAnotherThreadIsRaised(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	h := role(t, "aside")
	h.Life, h.Size = executor.Resident, 1
	r := startRun(t, nil, boosted(h))
	for _, c := range []struct{ topic, want string }{{"a/p25", urgently}, {"a/p10", plainly}, {"a/p20", nicely}} {
		if got := string(r.emit(c.topic, "").Reply); got != c.want+" aside" {
			t.Errorf("%s: %s, want %s", c.topic, got, c.want)
		}
	}
	if got := schedule(r.pid()); got != plainly {
		t.Errorf("its first thread is at %s", got)
	}
}

// boostless says what a process without privileges is refused of each kind of level.
func boostless() {
	for _, l := range []executor.Level{{Nice: new(-5)}, {Realtime: 10}, {Slice: 500 * time.Microsecond}} {
		_, err := executor.OpenBooster(executor.Boost{l})
		fmt.Println(err)
	}
}

// TestBoostIsRefusedByName has the host asked as a user who may not, and as root what the kernel can.
func TestBoostIsRefusedByName(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	release, err := sys.KernelRelease()
	if err != nil {
		t.Fatal(err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	slice := "slice: this kernel sets none: it needs Linux 6.12"
	if major > 6 || major == 6 && minor >= 12 {
		slice = "<nil>"
	}
	h := role(t, "boostless")
	c := exec.Command(h.Exec[0])
	c.Env = []string{"AEM_TEST_ROLE=boostless"}
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	lines := strings.Split(string(out), "\n")
	for i, want := range []string{"from priority 0 on: set scheduling: operation not permitted (CAP_SYS_NICE", "from priority 0 on: set scheduling: operation not permitted (CAP_SYS_NICE", slice} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("level %d: %s, want %s", i, lines[i], want)
		}
	}
	b, err := executor.OpenBooster(executor.Boost{{Slice: 500 * time.Microsecond}})
	if got := fmt.Sprint(err); !strings.Contains(got, slice) || (b == nil) != (err != nil) {
		t.Errorf("as root: %s, want %s", got, slice)
	}
}
