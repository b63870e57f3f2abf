package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/spawn"
	"github.com/aem-exec/aem-exec/policy"
)

// attacks are programs of test/attack, each the handler of an app with a user of its own, and what docs/security.md
// promises of it. A program that got what it was to be refused ends with the status 42, which no row wants.
var attacks = []struct {
	name    string
	promise string
	program string // with its arguments
	app     string // limits and policy, in TOML
	handler string // more keys of the handler
	events  int    // at once
	fate    string // outcome, and reason of what failed
}{
	{"fork bomb", "forks without end: pids, and nothing is left", "forkbomb", "limits = { pids = 32, cpu = 0.5 }", "", 1, "failed pids"},
	{"memory hog", "eats memory: memory", "hog", "limits = { memory = \"32MiB\" }", "", 4, "failed oom"},
	{"descriptors", "opens without end: its own limit", "fdhog", "", "rlimits = { nofile = 64 }", 1, "failed exit"},
	{"signal storm", "signals the supervisor: the kernel refuses another user", "storm", "policy = { seccomp = \"none\" }", "", 1, "done "},
	{"look into others", "traces the supervisor: the kernel refuses another user", "peek", "policy = { seccomp = \"none\" }", "", 1, "done "},
	{"look into others, filtered", "traces the supervisor: the default filter", "peek", "", "", 1, "done "},
	{"escape", "leaves processes behind: they are killed with the slot", "escape", "limits = { pids = 64 }", "", 4, "done "},
	{"denied call", "makes a forbidden system call: the filter", "entry x86-64", denied, "", 1, "failed seccomp"},
	{"denied call of i386", "makes a forbidden system call: the filter", "entry i386", denied, "", 1, "failed seccomp"},
	{"denied call of x32", "makes a forbidden system call: the filter", "entry x32", denied, "", 1, "failed seccomp"},
	{"own cgroup", "leaves its cgroup or raises its limits: the files are root's", "climb", "limits = { pids = 32, memory = \"64MiB\", cpu = 0.5 }", "", 1, "done "},
	{"busy", "keeps the processor busy: cpu", "spin", "limits = { cpu = 0.1 }", "timeout = \"1s\"\nkill_after = \"1s\"", 1, "failed timeout"},
}

// denied is a policy with a profile that kills for one call, and leaves all the others.
const denied = `policy = { seccomp = "./denied.json" }`

const deniedProfile = `{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
"syscalls": [{"names": ["personality"], "action": "SCMP_ACT_KILL_PROCESS"}]}`

// The users of the apps: nobody else on a host has them, so that an attack on all that its user may reach finds itself.
const attacker, victim = 64001, 64002

// aside is what an app beside the attack may take for an event.
var aside = aemtest.Slow(2 * time.Second)

// TestAttacks_R008_R044 has each attack contained and reported beside an app that goes on, under a supervisor that ends in order
// afterwards.
func TestAttacks_R008_R044(t *testing.T) {
	aemtest.Require(t, aemtest.Root, aemtest.CC)
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			words := strings.Fields(a.program)
			words[0] = compiled(t, words[0])
			s := prepare(t, myself(), attackConfig(attacker, victim, strings.Join(words, `", "`), a.app, a.handler))
			s.write("denied.json", deniedProfile)
			s.run()
			s.attack(a.promise, a.events, a.fate)
			s.stop()
			if left := processesOf(t, attacker); left != nil {
				t.Errorf("processes %v of the attack are left", left)
			}
		})
	}
}

// TestAttacksOfRoot_R171 has attacks run as root, which namespaces of their app keep from the host.
func TestAttacksOfRoot_R171(t *testing.T) {
	aemtest.Require(t, aemtest.Root, aemtest.CC)
	for _, a := range attacks {
		switch a.name {
		case "signal storm", "look into others", "escape", "own cgroup":
			t.Run(a.name, func(t *testing.T) {
				s := start(t, myself(), attackConfig(0, victim, compiled(t, a.program), a.app, a.handler))
				s.attack(a.promise, a.events, a.fate)
				s.stop()
			})
		}
	}
}

// TestAttacksOfTheSupervisorsUser_R171 has attacks run as the user of the supervisor and of all other handlers, who is not root: what
// keeps them apart is Landlock, and that the supervisor is not dumpable.
func TestAttacksOfTheSupervisorsUser_R171(t *testing.T) {
	scoped := aemtest.Feature{Name: "Landlock's scope of signals", Since: aemtest.Linux{Major: 6, Minor: 12}, Probe: func() error {
		abi, err := policy.LandlockABI()
		if err == nil && abi < policy.SignalsABI {
			err = fmt.Errorf("version %d", abi)
		}
		return err
	}}
	aemtest.Require(t, aemtest.CC, scoped)
	own := os.Geteuid()
	for _, a := range attacks {
		switch a.name {
		case "signal storm", "look into others", "look into others, filtered", "descriptors":
			t.Run(a.name, func(t *testing.T) {
				s := start(t, nobody(), attackConfig(own, own, compiled(t, a.program), a.app, a.handler))
				s.attack(a.promise, a.events, a.fate)
				s.stop()
			})
		}
	}
}

// attackConfig has an attack as the handler of an app, with more keys for both, and another app beside it. An app of the
// tests' own user names none, and has the supervisor's.
func attackConfig(bad, good int, exec, app, handler string) string {
	user := func(uid int) string {
		if uid == os.Geteuid() {
			return ""
		}
		return fmt.Sprintf("user = \"%d\"\ngroup = \"%[1]d\"", uid)
	}
	return fmt.Sprintf(`
log = { level = "warn" }
[app.bad]
%s
%s
[app.bad.handler.attack]
exec = ["%s"]
handover = "data"
retries = 0
%s
[app.bad.event.attack]
type = "topic"
handler = "attack"
[app.good]
%s
[app.good.event.wait]
type = "topic"
handler = { exec = ["bin/counter"], handover = "direct", life = "resident" }
[app.good.event.make]
type = "topic"
handler = { exec = ["cat"], handover = "data" }
`, user(bad), app, exec, handler, user(good))
}

// TestMemoryRunsOutWhileProcessesBegin has hogs begin, eight at once, while memory that they share runs out: each shares the
// supervisor's memory for a moment, which must not make it the one that the kernel ends.
func TestMemoryRunsOutWhileProcessesBegin(t *testing.T) {
	lowerScores := aemtest.Feature{Name: "CAP_SYS_RESOURCE", Where: aemtest.GuestOnly, Probe: func() error {
		if may, err := spawn.Shields(); err != nil || !may {
			return fmt.Errorf("it was taken from the tests: %v", err)
		}
		return nil
	}}
	aemtest.Require(t, aemtest.Root, aemtest.CC, lowerScores)
	s := start(t, myself(), attackConfig(attacker, victim, compiled(t, "hog"), "limits = { memory = \"8MiB\" }", "concurrency = 8"))
	s.attack("a process that begins is not chosen", 50, "failed oom")
	s.stop()
}

// attack emits the events of an attack and wants their fate, while the app beside it is answered in time.
func (s *supervisor) attack(promise string, events int, want string) {
	s.t.Helper()
	s.healthy()
	data := fmt.Appendf(nil, "%d %s", s.cmd.Process.Pid, s.sibling())
	fates := make(chan string, events)
	for range events {
		go func() {
			emitted, err := s.emit(control.Request{Topic: "bad/attack", Wait: true, Data: data})
			if err != nil || len(emitted.Fates) != 1 {
				fates <- fmt.Sprintf("%v, %v", emitted.Fates, err)
				return
			}
			fates <- fmt.Sprintf("%s %s", emitted.Fates[0].Outcome, emitted.Fates[0].Reason)
		}()
	}
	deadline := time.After(patience)
	for n := 0; n < events; {
		select {
		case fate := <-fates:
			if n++; fate != want {
				s.t.Errorf("fate %q, want %q, as is promised: %s", fate, want, promise)
			}
		case <-deadline:
			s.t.Fatal("the attack has no fate")
		case <-time.After(10 * time.Millisecond):
			s.healthy()
		}
	}
	s.healthy()
}

// sibling is the process of the app beside the attack.
func (s *supervisor) sibling() (pid string) {
	s.t.Helper()
	for _, pid := range s.processes() {
		name, err := os.ReadFile(filepath.Join("/proc", pid, "comm"))
		if err == nil && strings.TrimSpace(string(name)) == "counter" {
			return pid
		}
	}
	s.t.Fatal("the other app has no process to attack")
	return ""
}

// healthy has the app beside the attack answer, by a process that waits and by one that is made for it.
func (s *supervisor) healthy() {
	s.t.Helper()
	for _, topic := range []string{"good/wait", "good/make"} {
		began := time.Now()
		emitted, err := s.emit(control.Request{Topic: topic, Wait: true})
		if err != nil || len(emitted.Fates) != 1 || emitted.Fates[0].Outcome != "done" {
			s.t.Fatalf("%s: %+v, %v", topic, emitted.Fates, err)
		}
		if took := time.Since(began); took > aside {
			s.t.Errorf("%s took %v", topic, took)
		}
	}
}

// compiled is the path of an attack.
func compiled(t *testing.T, name string) string {
	t.Helper()
	program(t, "aem-exec") // makes the folder
	path, err := aemtest.CProgram(programsDir(), "attack/"+name+".c", "cc", "-O2", "-static", "-Wall", "-Wextra", "-Werror")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// processesOf are the processes of a user, but for those that have ended.
func processesOf(t *testing.T, uid int) (pids []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		status, err := os.ReadFile(file)
		_, uids, _ := strings.Cut(string(status), "\nUid:\t")
		ended := strings.Contains(string(status), "\nState:\tZ") || strings.Contains(string(status), "\nState:\tX")
		if err == nil && !ended && strings.HasPrefix(uids, strconv.Itoa(uid)+"\t") {
			pids = append(pids, filepath.Base(filepath.Dir(file)))
		}
	}
	return pids
}
