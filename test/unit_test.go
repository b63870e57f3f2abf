package test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// systemdGuest is the feature of being in a guest whose PID 1 is systemd, with packaging/aem-exec.service in it. No other
// system's units are for a test to start and stop.
var systemdGuest = aemtest.Feature{Name: "a guest of systemd", Where: aemtest.GuestOnly, Probe: func() error {
	_, err := os.Stat("/run/systemd/system")
	return errors.Join(aemtest.Guest.Probe(), err)
}}

const unitConfig = `
[supervisor]
grace = "20s"
[app.a]
user = "nobody"
[app.a.limits]
memory = "32MiB"
pids = 32
cpu = 0.5
[app.a.handler.slow]
exec = ["sh", "-c", "echo >/tmp/begun; until [ -e /tmp/go ]; do sleep 0.1; done"]
handover = "none"
[app.a.handler.counter]
exec = ["/programs/counter"]
handover = "direct"
life = "resident"
[app.a.handler.hog]
exec = ["/programs/hog.c.out"]
handover = "none"
retries = 0
[app.a.event.slow]
type = "topic"
handler = "slow"
[app.a.event.count]
type = "topic"
handler = "counter"
[app.a.event.hog]
type = "topic"
handler = "hog"
`

// unit is the shipped unit in a guest of systemd.
type unit struct {
	t       *testing.T
	as      []string // before each command: who gives it
	manager []string // arguments of systemctl: whose unit it is
	within  string   // the unit's cgroup
}

// ofTheSystem is the unit as it is shipped.
func ofTheSystem(t *testing.T) unit { return unit{t: t, within: "/system.slice/aem-exec.service/"} }

// systemctl is the command that has the unit do something.
func (u unit) systemctl(verb string, args ...string) []string {
	return slices.Concat([]string{"systemctl"}, u.manager, []string{verb}, args, []string{"aem-exec.service"})
}

func (u unit) kill() { u.run(u.systemctl("kill", "-s", "KILL")...) } //nolint:errcheck // it runs no more, which is usual

// write makes a file of the system.
func (u unit) write(file, text string) {
	u.t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
		u.t.Fatal(err)
	}
}

// configure has the unit find this when it is started next.
func (u unit) configure(text string) { u.t.Helper(); u.write("/etc/aem/aem.toml", text) }

// run runs a program and returns what it writes.
func (u unit) run(args ...string) (string, error) {
	args = append(slices.Clone(u.as), args...)
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (u unit) must(args ...string) string {
	u.t.Helper()
	out, err := u.run(args...)
	if err != nil {
		u.t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return out
}

func (u unit) show(property string) string {
	u.t.Helper()
	return u.must(u.systemctl("show", "--value", "-p", property)...)
}

// until waits until a property of the unit is as wanted.
func (u unit) until(property string, want func(string) bool) string {
	u.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		value := u.show(property)
		if want(value) {
			return value
		}
		if time.Now().After(deadline) {
			u.t.Fatalf("%s is %q\n%s", property, value, u.must(u.systemctl("status", "--no-pager", "-l")...))
		}
	}
}

// emit publishes and waits for the fate.
func (u unit) emit(topic, want string) {
	u.t.Helper()
	if out, err := u.run("aem-exec", "emit", topic, "--wait"); !strings.Contains(out, want) {
		u.t.Errorf("emit %s: %v\n%s\nwant %q in it", topic, err, out, want)
	}
}

// TestUnit takes the unit through its life: it is ready when it has started, holds limits, follows its file when it is told
// to, stops with grace, and is started again when it was killed, but not when its file is wrong.
func TestUnit(t *testing.T) {
	aemtest.Require(t, aemtest.Root, systemdGuest)
	u := ofTheSystem(t)
	u.configure(unitConfig)
	u.must(u.systemctl("start")...)
	t.Cleanup(u.kill)
	for _, step := range []struct {
		name string
		do   func(unit)
	}{
		{"is ready", unit.isReady}, {"has its cgroup", unit.hasItsCgroup}, {"holds limits", unit.holdsLimits},
		{"reloads", unit.reloads}, {"stops with grace", unit.stopsWithGrace}, {"is started again", unit.isStartedAgain}, {"is not, for a wrong file", unit.isNotForAWrongFile},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.do(ofTheSystem(t)) }) {
			t.Fatalf("status: %s", u.must("sh", "-c", "systemctl status --no-pager -l aem-exec.service; journalctl --no-pager -n 50 -u aem-exec.service || :"))
		}
	}
}

// isReady: systemctl start has returned because the supervisor said so, and it answers at once.
func (u unit) isReady() {
	if state := u.show("ActiveState"); state != "active" {
		u.t.Errorf("the unit is %s", state)
	}
	if out := u.must("aem-exec", "ctl", "list"); !strings.Contains(out, "a/slow") {
		u.t.Errorf("jobs:\n%s", out)
	}
	u.emit("a/count", "done")
}

// hasItsCgroup: the supervisor went into a leaf of its own, beside its apps.
func (u unit) hasItsCgroup() {
	own, err := os.ReadFile("/proc/" + u.show("MainPID") + "/cgroup")
	if err != nil || !strings.HasPrefix(string(own), "0::"+u.within) {
		u.t.Errorf("the supervisor is in %q, %v", own, err)
	}
	u.isHeldTo(map[string]string{"memory.max": "33554432", "pids.max": "32", "cpu.max": "50000 100000"})
}

// isHeldTo wants these numbers of the app's cgroup.
func (u unit) isHeldTo(limits map[string]string) {
	u.t.Helper()
	for file, want := range limits {
		found, _ := filepath.Glob("/sys/fs/cgroup" + u.within + "*/a/" + file)
		if len(found) != 1 {
			u.t.Errorf("%s: %v", file, found)
			continue
		}
		if text, err := os.ReadFile(found[0]); err != nil || strings.TrimSpace(string(text)) != want {
			u.t.Errorf("%s is %q, %v", found[0], text, err)
		}
	}
}

// holdsLimits: a handler that runs out of memory is ended, and the unit goes on.
func (u unit) holdsLimits() {
	pid := u.show("MainPID")
	u.emit("a/hog", "oom")
	u.emit("a/count", "done")
	if now := u.show("MainPID"); now != pid || u.show("ActiveState") != "active" {
		u.t.Errorf("the supervisor was process %s and is %s", pid, now)
	}
}

// reloads: systemctl reload has the supervisor follow its file, and refuses one that is wrong; it goes on as the same process.
func (u unit) reloads() {
	pid := u.show("MainPID")
	more := strings.NewReplacer("cpu = 0.5", "cpu = 0.75", "pids = 32", "pids = 33").Replace(unitConfig) +
		"[app.a.event.more]\ntype = \"topic\"\nhandler = \"counter\"\n"
	u.configure(more)
	u.must(u.systemctl("reload")...)
	u.emit("a/more", "done")
	u.isHeldTo(map[string]string{"memory.max": "33554432", "pids.max": "33", "cpu.max": "75000 100000"})
	u.configure(more + "[app.a.event.more]\n")
	if out, err := u.run(u.systemctl("reload")...); err == nil {
		u.t.Errorf("reloaded: %s", out)
	}
	u.emit("a/more", "done")
	if now := u.show("MainPID"); now != pid || u.show("ActiveState") != "active" {
		u.t.Errorf("the supervisor was process %s and is %s", pid, now)
	}
	u.configure(unitConfig)
	u.must(u.systemctl("reload")...)
	u.emit("a/more", "no started job has the topic a/more")
}

// stopsWithGrace: what runs at the stop may finish.
func (u unit) stopsWithGrace() {
	finish := u.slow()
	stopped := make(chan error, 1)
	go func() {
		_, err := u.run(u.systemctl("stop")...)
		stopped <- err
	}()
	u.until("ActiveState", func(state string) bool { return state == "deactivating" })
	if fate := finish(); !strings.Contains(fate, "done") {
		u.t.Errorf("what ran ended as\n%s", fate)
	}
	if err := <-stopped; err != nil {
		u.t.Errorf("stop: %v", err)
	}
	if state, result := u.show("ActiveState"), u.show("Result"); state != "inactive" || result != "success" {
		u.t.Errorf("the unit is %s, with %s", state, result)
	}
	if _, err := os.Stat("/sys/fs/cgroup" + u.within); !errors.Is(err, os.ErrNotExist) {
		u.t.Errorf("its cgroup is left: %v", err)
	}
}

// slow begins an event and returns what lets it finish, and waits for its fate.
func (u unit) slow() (finish func() string) {
	for _, file := range []string{"/tmp/begun", "/tmp/go"} {
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			u.t.Fatal(err)
		}
	}
	fate := make(chan string, 1)
	go func() {
		out, _ := u.run("aem-exec", "emit", "a/slow", "--wait")
		fate <- out
	}()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat("/tmp/begun"); err == nil {
			break
		}
		if time.Now().After(deadline) {
			u.t.Fatal("the event has not begun")
		}
	}
	return func() string {
		if err := os.WriteFile("/tmp/go", nil, 0o644); err != nil {
			u.t.Error(err)
		}
		return <-fate
	}
}

// isStartedAgain: a supervisor that was killed is another one soon, and of what it ran nothing goes on.
func (u unit) isStartedAgain() {
	u.must(u.systemctl("start")...)
	finish := u.slow()
	pid := u.show("MainPID")
	u.must(u.systemctl("kill", "--kill-whom=main", "-s", "KILL")...)
	u.until("MainPID", func(now string) bool { return now != pid && now != "0" })
	u.until("ActiveState", func(state string) bool { return state == "active" })
	finish() // nobody tells the fate of what ran
	u.emit("a/count", "done")
	for _, pid := range processesOf(u.t, 65534) {
		if command, _ := os.ReadFile("/proc/" + pid + "/cmdline"); strings.HasPrefix(string(command), "sh\x00") {
			u.t.Errorf("process %s is left: %q", pid, command)
		}
	}
	u.must(u.systemctl("restart")...)
	u.emit("a/count", "done")
}

// isNotForAWrongFile: starting again would not mend it.
func (u unit) isNotForAWrongFile() {
	u.configure("[app.a]\nusr = \"x\"\n")
	if out, err := u.run(u.systemctl("restart")...); err == nil {
		u.t.Errorf("restarted: %s", out)
	}
	u.until("ActiveState", func(state string) bool { return state == "failed" })
	time.Sleep(3 * time.Second) // longer than RestartSec
	if state := u.show("ActiveState"); state != "failed" || u.show("ExecMainStatus") != "2" {
		u.t.Errorf("the unit is %s, exit status %s", state, u.show("ExecMainStatus"))
	}
}
