package supervisor

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/policy"
	"github.com/aem-exec/aem-exec/source"
)

// TestLimitsContainAndSayWhy_R008_R103 has handlers run into their app's limits, beside an app that must not notice.
func TestLimitsContainAndSayWhy_R008_R103(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	once := func(name string) executor.Spec {
		h := role(t, name)
		h.Retries = 0
		return h
	}
	for _, c := range []struct {
		name    string
		handler executor.Spec
		limit   func(*App)
		reason  aem.Reason
		log     string
	}{
		{"memory", once("hog"), func(a *App) { a.Limits.Memory = 64 << 20 }, aem.ReasonOOM, "handler=h"},
		{"pids", once("bomb"), func(a *App) { a.Limits.PIDs = 32 }, aem.ReasonPIDs, "resource temporarily unavailable"},
		{"kill", once("denied"), deny(specs.ActKillProcess), aem.ReasonSeccomp, "syscall=personality"},
		{"trap", setarch(), deny(specs.ActTrap), aem.ReasonSeccomp, "syscall=personality"},
		{"trap of Go", once("denied"), deny(specs.ActTrap), aem.ReasonExit, "exit=2"}, // Go's runtime takes SIGSYS and panics
		{"errno", once("denied"), deny(specs.ActErrno), aem.ReasonHandler, "operation not permitted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad, good := topicApp(c.handler), testApp("good", []executor.Spec{role(t, "done")}, event("t", source.Topic{Name: "good/t"}, "h"))
			c.limit(&bad)
			r := startRun(t, nil, bad, good)
			if fate := r.emit("a/t", ""); fate.Outcome != "failed" || fate.Reason != c.reason {
				t.Errorf("fate %s %s, want failed %s", fate.Outcome, fate.Reason, c.reason)
			}
			if letters := r.dead.match(func(*letter) bool { return true }); len(letters) != 1 || !strings.Contains(letters[0].Failure, c.log) {
				t.Errorf("report %q, want %q in it", letters[0].Failure, c.log)
			}
			if fate := r.emit("good/t", ""); fate.Outcome != "done" {
				t.Errorf("the other app: %v", fate)
			}
		})
	}
}

// TestTrapWithoutARecordSaysSo has a policy that ends a handler and leaves no record of why.
func TestTrapWithoutARecordSaysSo(t *testing.T) {
	a := topicApp(setarch())
	deny(specs.ActTrap)(&a)
	a.Seccomp.Flags = nil
	r := startRun(t, nil, a)
	r.logged("denied system calls will be syscall=unknown")
	r.emit("a/t", "")
	if letters := r.dead.match(func(*letter) bool { return true }); len(letters) != 1 || !strings.Contains(letters[0].Failure, "reason=seccomp signal=SYS syscall=unknown") {
		t.Errorf("letters %v", letters)
	}
}

// setarch is a program that calls personality and leaves SIGSYS as it is.
func setarch() executor.Spec {
	h := shell("exec setarch -R true")
	h.Retries = 0
	return h
}

func deny(action specs.LinuxSeccompAction) func(*App) {
	return func(a *App) {
		a.Seccomp = &policy.Profile{
			DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog},
			Rules: []policy.Rule{{LinuxSyscall: specs.LinuxSyscall{Names: []string{"personality"}, Action: action}}},
		}
	}
}

// TestStuckCopyStopsNobodyElse has a handler whose memory parks the thread that writes into it, and an app beside it.
func TestStuckCopyStopsNobodyElse(t *testing.T) {
	aemtest.Require(t, aemtest.Root) // for a userfaultfd that holds kernel threads too
	for name, size := range map[string]int{"on the loop": inlineBytes / 4, "on a thread of its own": 2 * inlineBytes} {
		t.Run(name, func(t *testing.T) {
			sticky, release := stickyHandler(t)
			r := startRun(t, nil, topicApp(sticky), testApp("good", []executor.Spec{role(t, "done")}, event("t", source.Topic{Name: "good/t"}, "h")))
			r.emit("good/t", "")
			r.ask(func() { r.publish("a/t", make([]byte, size)) })
			deadline := time.Now().Add(patience)
			for r.counts("a/t").Failed == 0 {
				began := time.Now()
				if fate := r.emit("good/t", ""); fate.Outcome != "done" {
					t.Errorf("the other app: %v", fate)
				}
				if took := time.Since(began); took > aemtest.Slow(time.Second) {
					t.Errorf("the other app waited %v", took)
				}
				if time.Now().After(deadline) {
					t.Fatal("the event has no fate")
				}
			}
			letters := r.dead.match(func(*letter) bool { return true })
			if len(letters) != 1 || letters[0].Reason != aem.ReasonChannel || !strings.Contains(letters[0].Failure, "did not return") {
				t.Errorf("report %+v", letters[0])
			}
			release()
			for r.watch.parked.Load() != 0 {
				if time.Now().After(deadline) {
					t.Fatal("the parked thread did not come back")
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
}

// stickyHandler is a handler into whose memory no copy returns until it is released, which frees the thread.
func stickyHandler(t *testing.T) (_ executor.Spec, release func()) {
	file := t.TempDir() + "/release"
	h := role(t, "sticky")
	h.Env[stickyVariable] = file
	h.Retries, h.Timeout = 0, 0
	release = func() {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(release)
	return h, release
}

// TestCopyThatSleepsForAWhileIsNoFailure: on a busy machine a copy may wait for the lock of an address space.
func TestCopyThatSleepsForAWhileIsNoFailure(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	for name, size := range map[string]int{"on the loop": inlineBytes / 4, "on a thread of its own": 2 * inlineBytes} {
		t.Run(name, func(t *testing.T) {
			sticky, release := stickyHandler(t)
			r := startRun(t, nil, topicApp(sticky))
			r.ask(func() {
				r.watch.looks = math.MaxInt
				r.publish("a/t", make([]byte, size))
			})
			for deadline := time.Now().Add(patience); r.watch.parked.Load() == 0; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("no thread is held")
				}
			}
			release()
			r.until("a/t", "done", func(c aem.Counts) bool { return c.Done+c.Failed == 1 })
			if c, held := r.counts("a/t"), r.watch.parked.Load(); c.Done != 1 || held != 0 {
				t.Errorf("books %+v, %d threads held", c, held)
			}
		})
	}
}

// TestFrozenAppDelaysNobodyElse freezes an app's processes, those in the making too.
func TestFrozenAppDelaysNobodyElse(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	slow := shell("exit 0")
	r := startRun(t, nil, topicApp(slow), testApp("good", []executor.Spec{shell("exit 0")}, event("t", source.Topic{Name: "good/t"}, "h")))
	r.emit("a/t", "") // the slot and its leaf are there now
	freeze := func(state string) {
		files, err := filepath.Glob("/sys/fs/cgroup/unified/" + treeName(r.options.RuntimeDir) + "/a/cgroup.freeze")
		if more, _ := filepath.Glob("/sys/fs/cgroup/" + treeName(r.options.RuntimeDir) + "/a/cgroup.freeze"); len(files) == 0 {
			files = more
		}
		if err != nil || len(files) != 1 {
			t.Fatalf("cgroup.freeze: %v %v", files, err)
		}
		if err := os.WriteFile(files[0], []byte(state), 0); err != nil {
			t.Fatal(err)
		}
	}
	freeze("1")
	defer freeze("0")
	r.ask(func() { r.publish("a/t", nil) })
	began := time.Now()
	for range 20 {
		r.emit("good/t", "")
	}
	if took := time.Since(began); took > aemtest.Slow(time.Second) {
		t.Errorf("20 events of the other app took %v", took)
	}
	if c := r.counts("a/t"); c.Running != 1 {
		t.Errorf("the frozen app's event is not in the making: %+v", c)
	}
	freeze("0")
	r.until("a/t", "done", func(c aem.Counts) bool { return c.Done == 2 })
}

// TestKilledHandlersLoseNoEvent kills handlers at random while events come.
func TestKilledHandlersLoseNoEvent_R092_R093(t *testing.T) {
	for _, life := range []executor.Life{executor.Cold, executor.Capsule, executor.Resident} {
		t.Run(string(life), func(t *testing.T) {
			h := role(t, "slow")
			h.Life, h.Concurrency, h.Retries = life, 8, 50
			a := topicApp(h)
			r := startRun(t, nil, a)
			events := aemtest.Few[uint64](100)
			stop := make(chan struct{})
			killed := make(chan int, 1)
			go func() {
				n := 0
				for n < int(events)/2 {
					select {
					case <-stop:
						killed <- n
						return
					case <-time.After(5 * time.Millisecond):
					}
					r.ask(func() { n += r.killOne() })
				}
				killed <- n
			}()
			for i := range events {
				r.ask(func() {
					if _, _, err := r.publish("a/t", fmt.Append(nil, i)); err != nil {
						t.Error(err)
					}
				})
			}
			c := r.until("a/t", "all done", func(c aem.Counts) bool { return c.Done+c.Failed == events })
			close(stop)
			if n := <-killed; n == 0 {
				t.Error("nobody was killed")
			}
			if c.Failed != 0 {
				t.Errorf("%d events failed in spite of retries", c.Failed)
			}
		})
	}
}

// killOne kills one of the processes that agents have now.
func (r *run) killOne() int {
	for pid := range r.orphans.own {
		if p, err := os.FindProcess(pid); err == nil && p.Kill() == nil {
			return 1
		}
	}
	return 0
}

// TestAnotherUser_R055 copies into processes of another user, who can gain no privileges.
func TestAnotherUser_R055(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	for _, way := range []executor.Copy{executor.DirectCopy, executor.SharedCopy} {
		h := role(t, "self")
		h.Copy = way
		a := topicApp(h)
		a.User = "nobody"
		r := startRun(t, nil, a)
		for name, want := range map[string]string{"Uid": "65534 65534 65534 65534", "NoNewPrivs": "1", "CapPrm": "0000000000000000", "CapBnd": "0000000000000000"} {
			if fate := r.emit("a/t", name); string(fate.Reply) != want {
				t.Errorf("%s, %s: %s %s, reply %q, want %q", way, name, fate.Outcome, fate.Reason, fate.Reply, want)
			}
		}
		r.stop()
	}
}
