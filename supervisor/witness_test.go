package supervisor

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/policy"
)

// auditSessions is what it takes to be told of calls that go on.
var auditSessions = aemtest.Root

// TestLogOnlyTellsAndDeniesNothing_R096 has a handler make a call that its policy would end it for: it goes on, and the log
// has the call's name once, also when a child of the handler makes it.
func TestLogOnlyTellsAndDeniesNothing_R096(t *testing.T) {
	aemtest.Require(t, auditSessions)
	h := shell("setarch -R true; setarch -R true")
	h.Retries = 0
	a := topicApp(h)
	deny(specs.ActKillProcess)(&a)
	a.Seccomp.LogOnly = true
	r := startRun(t, nil, a)
	r.logged("policy.mode is log: no system call is denied")
	if fate := r.emit("a/t", ""); fate.Outcome != "done" {
		t.Errorf("fate %v, want done", fate)
	}
	r.logged(`msg="a system call outside of the policy" app=a syscall=personality`)
	if n := strings.Count(r.logs.String(), "outside of the policy"); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// TestObserverIsTold looks at what a policy that allows nothing, and denies nothing, lets an observer see.
func TestObserverIsTold(t *testing.T) {
	aemtest.Require(t, auditSessions)
	h := shell("setarch -R true")
	a := topicApp(h)
	a.Seccomp = &policy.Profile{DefaultAction: specs.ActErrno, LogOnly: true}
	var mu sync.Mutex
	var seen []string
	o := &Observer{Lost: func() { t.Error("records were lost") }, Call: func(app string, arch policy.Arch, name string) {
		mu.Lock()
		defer mu.Unlock()
		if app != "a" || arch != policy.Native() {
			t.Errorf("%s: %s of %v", app, name, arch)
		}
		seen = append(seen, name)
	}}
	r := startRun(t, func(opts *Options) { opts.Observer = o }, a)
	if fate := r.emit("a/t", ""); fate.Outcome != "done" {
		t.Errorf("fate %v, want done", fate)
	}
	all := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return !slices.ContainsFunc([]string{"execve", "read", "personality", "exit_group"}, func(name string) bool { return !slices.Contains(seen, name) })
	}
	for deadline := time.Now().Add(patience); !all(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("seen %v", seen)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(seen)
	if once := slices.Compact(slices.Clone(seen)); len(once) != len(seen) {
		t.Errorf("told twice: %v", seen)
	}
}
