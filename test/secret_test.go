package test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// TestSupervisorIsClosedToItsUser_R171 has a handler of the supervisor's own user look into it.
func TestSupervisorIsClosedToItsUser_R171(t *testing.T) {
	aemtest.Require(t, aemtest.CC)
	s := start(t, nobody(), fmt.Sprintf(`
[app.a.policy]
seccomp = "none"
signals = "any" # under a Landlock domain nothing outside can be looked into
[app.a.event.peek]
type = "topic"
handler = { exec = [%q], handover = "data", retries = 0 }
`, compiled(t, "peek")))
	pid := itoa(s.cmd.Process.Pid)
	emitted, err := s.emit(control.Request{Topic: "a/peek", Wait: true, Data: []byte(pid + " " + pid)})
	if err != nil || len(emitted.Fates) != 1 || emitted.Fates[0].Outcome != "done" {
		t.Errorf("%+v, %v", emitted.Fates, err)
	}
	about, err := os.Stat("/proc/" + pid + "/environ")
	if err != nil || about.Sys().(*syscall.Stat_t).Uid != 0 { // man 5 proc: of root when the process is not dumpable
		t.Errorf("/proc/%s/environ: %+v, %v", pid, about, err)
	}
	s.stop()
}

// secret is in all that is to be kept: in the environment, in arguments and in events.
const secret = "s3cret"

// secretApp has handlers that fail in every way that is told of.
const secretApp = `
log = { level = "debug", format = "$FORMAT" }
[app.a.handler]
exits = { exec = ["sh", "-c", "exit 1", "s3cret-arg"], handover = "stdin" }
dies = { exec = ["sh", "-c", "kill -9 $$", "s3cret-arg"], handover = "data" }
runs-long = { exec = ["sleep", "60"], handover = "data", timeout = "50ms" }
is-gone = { exec = ["sh", "-c", "exit 127", "s3cret-arg"], handover = "data", restart = { first = "10ms" } }
says-nothing = { exec = ["true", "s3cret-arg"], handover = "direct" }
waits = { exec = ["true", "s3cret-arg"], handover = "direct", life = "resident", restart = { first = "10ms" } }
works = { exec = ["bin/upper", "s3cret-arg"], handover = "direct", life = "resident" }
`

// TestSecretsAreNotLogged runs handlers whose environment, arguments and events are secret, with the log as full as it gets.
func TestSecretsAreNotLogged(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Setenv("PASSED_TOKEN", secret+"-passed")
			config := strings.Replace(secretApp, "$FORMAT", format, 1)
			config = strings.ReplaceAll(config, "handover =", `retries = 1, backoff = { first = "10ms" }, env = { TOKEN = "s3cret-env" }, pass_env = ["PASSED_TOKEN"], handover =`)
			handlers := []string{"exits", "dies", "runs-long", "says-nothing", "works", "is-gone", "waits"}
			for _, name := range handlers {
				config += "[app.a.event." + name + "]\ntype = \"topic\"\nhandler = \"" + name + "\"\n"
			}
			s := prepare(t, myself(), "grace = \"100ms\"\n"+config)
			s.run()
			for _, name := range handlers {
				s.publish("a/"+name, secret+"-payload")
			}
			for _, name := range handlers[:5] {
				s.settled("a", name, 1)
				if name != "works" {
					s.log.await(t, "failed", "attempt", "2/2", name)
				}
			}
			s.log.await(t, "no agent", "is-gone")
			s.log.await(t, "no agent", "waits")
			if status, _ := s.output("ctl", "dead", "show", "1"); status == 0 { // a refusal is logged too, or not
				t.Error("there is a letter 1")
			}
			s.stop()
			for _, word := range []string{secret, "czNjcmV0", "733363726574"} { // plain, base64, hex
				if lines := s.log.lines(word); lines != nil {
					t.Errorf("the log has %q", lines)
				}
			}
		})
	}
	for key, said := range map[string]string{`env = { A = ["s3cret"] }`: "env", `env = { A = "s3cret\u0000" }`: "env"} {
		s := prepare(t, myself(), "[app.a.event.t]\ntype = \"topic\"\nhandler = \"h\"\n"+handlerKey(key))
		if status, out := s.output("check"); status == 0 || !strings.Contains(out, said) || strings.Contains(out, secret) {
			t.Errorf("check of %s ends with %d and says %s", key, status, out)
		}
	}
}
