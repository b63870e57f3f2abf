package test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// stranger is a user without an app; attacker and victim have one each.
const stranger = 64003

// permissionConfig lets everybody in, and has an app of each of two users.
func permissionConfig() string {
	text := "control = { mode = \"0666\" }\n"
	for name, uid := range map[string]int{"red": attacker, "blue": victim} {
		text += fmt.Sprintf(`
[app.%s]
user = "%d"
group = "%[2]d"
[app.%[1]s.event.t]
type = "topic"
handler = { exec = ["sh", "-c", "exit $(cat)"], handover = "data", retries = 0, dir = "/" }
`, name, uid)
	}
	return text
}

// verbs are all that the control socket understands, as a user types them: JOB is a selector or --all, APP an app or --all,
// LETTER the id of a dead letter or --all. What means another's job is refused, but for what lists what there is.
var verbs = []struct {
	op, args string
	lists    bool
}{
	{op: "list", args: "ctl list JOB"},
	{op: "lookup", args: "ctl lookup JOB"},
	{op: "stop", args: "ctl stop JOB"},
	{op: "start", args: "ctl start JOB"},
	{op: "fire", args: "ctl fire JOB"},
	{op: "priority", args: "ctl priority 3 JOB"},
	{op: "timeout", args: "ctl timeout 5s JOB"},
	{op: "filter", args: "ctl filter size<9 JOB"},
	{op: "clean", args: "ctl clean JOB"},
	{op: "emit", args: "emit APP/t"},
	{op: "usage", args: "ctl usage APP"},
	{op: "dead list", args: "ctl dead list --json JOB", lists: true},
	{op: "dead show", args: "ctl dead show LETTER"},
	{op: "dead replay", args: "ctl dead replay LETTER"},
	{op: "dead drop", args: "ctl dead drop LETTER"},
	{op: "remove", args: "ctl remove JOB"},
}

// TestUsersActOnTheirOwnApp has users of the host, each as a process of its own, use every verb of the control socket on
// their app, on another's and on all.
func TestUsersActOnTheirOwnApp(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	s := prepare(t, myself(), permissionConfig())
	if err := os.Mkdir(s.path("run"), 0o755); err != nil { // as who lets others in does
		t.Fatal(err)
	}
	s.run()
	known := map[string]bool{"version": true, // of no app
		"watch": true, "attach": true, "register": true, // TestUsersFollowTheirOwnApp, test/attach
		"reload": true} // below
	for _, v := range verbs {
		known[v.op] = true
	}
	for op := control.Op(1); !strings.HasPrefix(op.String(), "operation "); op++ {
		if !known[op.String()] {
			t.Errorf("no row has %v", op)
		}
	}
	for _, uid := range []int{attacker, stranger} {
		if status, out := s.as(uid).output("ctl", "reload"); status != 1 {
			t.Errorf("uid %d reloads the file: status %d, %s", uid, status, out)
		}
	}
	letters := map[string]string{"red": s.publish("red/t", "64"), "blue": s.publish("blue/t", "64")}
	s.settled("red", "t", 1)
	s.settled("blue", "t", 1)
	blue := func() string {
		return s.must("ctl", "list", "--json", "blue/*") + s.must("ctl", "dead", "list", "--json", "blue/*")
	}
	before := blue()
	for _, v := range verbs {
		words := func(app string) []string {
			return strings.Fields(strings.NewReplacer("JOB", app+"/t", "APP", app, "LETTER", letters[app]).Replace(v.args))
		}
		for _, uid := range []int{attacker, stranger} {
			status, out := s.as(uid).output(words("blue")...)
			if (status == 0) != v.lists || strings.TrimSpace(out) != map[bool]string{true: "[]"}[v.lists] {
				t.Errorf("uid %d, %s of another's app: status %d, %s", uid, v.op, status, out)
			}
			if all := strings.NewReplacer("JOB", "--all", "APP", "--all", "LETTER", "--all").Replace(v.args); v.op != "emit" && v.op != "dead show" {
				if status, out := s.as(uid).output(strings.Fields(all)...); status != 0 || strings.Contains(out, "blue") || uid == stranger && strings.Contains(out, "red") {
					t.Errorf("uid %d, %s of all: status %d, %s", uid, v.op, status, out)
				}
			}
			if now := blue(); now != before {
				t.Fatalf("uid %d changed another's app by %s: %s\nbefore\n%s", uid, v.op, now, before)
			}
		}
		if v.op == "dead replay" || v.op == "dead drop" || v.op == "remove" {
			continue // done for all of his own, above
		}
		if status, out := s.as(attacker).output(words("red")...); status != 0 {
			t.Errorf("%s of one's own app: status %d, %s", v.op, status, out)
		}
	}
	if jobs := s.list(); len(jobs) != 1 || jobs[0].App != "blue" {
		t.Errorf("jobs %+v", jobs)
	}
	s.stop()
}

// TestUsersFollowTheirOwnApp has a user follow all events: he is told of his own app's.
func TestUsersFollowTheirOwnApp(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	s := prepare(t, myself(), permissionConfig())
	if err := os.Mkdir(s.path("run"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.run()
	out := newJournal()
	watch := s.as(attacker).command("ctl", "watch", "--all")
	watch.Stdout = out
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); strings.Count(out.String(), "done") < 2; time.Sleep(10 * time.Millisecond) {
		s.must("emit", "blue/t", "--data", "0", "--wait")
		s.must("emit", "red/t", "--data", "0", "--wait") // the watcher may have to begin first
		if time.Now().After(deadline) {
			t.Fatalf("it is told\n%s", out.String())
		}
	}
	watch.Process.Kill() //nolint:errcheck // it runs
	watch.Wait()         //nolint:errcheck // it was killed
	if strings.Contains(out.String(), "blue") {
		t.Errorf("it is told\n%s", out.String())
	}
	s.stop()
}

// TestLettersOfAnAppThatIsGoneAreTheSupervisors has an app leave the file, of a supervisor without root.
func TestLettersOfAnAppThatIsGoneAreTheSupervisors(t *testing.T) {
	app := "[app.%s.event.t]\ntype = \"topic\"\nhandler = { exec = [\"sh\", \"-c\", \"exit 64\"], handover = \"none\" }\n"
	s := start(t, nobody(), fmt.Sprintf(app, "old"))
	s.publish("old/t", "")
	s.settled("old", "t", 1)
	s.stop()
	s.write("aem.toml", head+fmt.Sprintf(app, "new"))
	s.run()
	if letters := s.must("ctl", "dead", "list", "--json"); !strings.Contains(letters, `"job": "old/t"`) {
		t.Errorf("letters %s", letters)
	}
	s.stop()
}

// as is the supervisor's programs run by another user.
func (s *supervisor) as(uid int) *supervisor {
	other := *s
	other.who = user{uid}
	return &other
}
