package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aem-exec/aem-exec/config"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/source"
)

func TestMain(m *testing.M) { aemtest.NoLeaks(m) }

// hello is a small file without errors; tests add to it.
const hello = `[app.web.handler.hello]
exec = ["./hello"]
handover = "stdin"
[app.web.event.hello]
type = "timer"
handler = "hello"
every = "1s"
`

// errorLines is what is wrong with text, line by line.
func errorLines(t *testing.T, text string) []string {
	t.Helper()
	_, err := config.Parse("aem.toml", []byte(text), "greet")
	var errs config.Errors
	if err != nil && !errors.As(err, &errs) {
		t.Fatalf("error %v is no Errors", err)
	}
	var lines []string
	for _, e := range errs {
		lines = append(lines, e.Error())
	}
	return lines
}

func parse(t *testing.T, text string) *config.File {
	t.Helper()
	f, err := config.Parse("aem.toml", []byte(text), "greet")
	if err != nil {
		t.Fatalf("parse:\n%s\n%v", text, err)
	}
	return f
}

func checkLines(t *testing.T, got []string, want string) {
	t.Helper()
	if g := strings.Join(got, "\n"); g != strings.TrimSpace(want) {
		t.Errorf("got:\n%s\nwant:\n%s", g, want)
	}
}

func TestTwentyErrorsAtOnce(t *testing.T) {
	text, err := os.ReadFile("testdata/twenty.toml")
	if err != nil {
		t.Fatal(err)
	}
	checkLines(t, errorLines(t, string(text)), `
aem.toml:1: unknown key "supervisr" (did you mean supervisor?)
aem.toml:4: supervisor.grace: want a duration like "2s"
aem.toml:5: supervisor.log: unknown key "levle" (did you mean level?)
aem.toml:6: supervisor.control.mode: want an octal mode as a string, like "0600"
aem.toml:7: supervisor.dead_letters: want a whole number from 0 to 1000000
aem.toml:9: app.Web: name "Web": want a small letter, then small letters, digits, _ or -
aem.toml:12: app.web: unknown handler "helo" (did you mean hello?)
aem.toml:14: app.web.limits.types: "tmer" means no event type (did you mean timer?)
aem.toml:15: app.web.limits.cpu: want a number from 0.001 to 10000
aem.toml:16: app.web.limits.queue_bytes: want a size like "64MiB"
aem.toml:17: app.web.limits.cpuset: "0..3": want numbers and ranges of them, like "0-1,4"
aem.toml:19: app.web.policy.seccomp: want default, handler, none or a path with a slash, like "./seccomp.json"
aem.toml:20: app.web.handler.hello: handover is missing (direct: uses our SDK; socket: the connection on stdin and stdout; stdin: the event as JSON; data: its bytes; none)
aem.toml:21: app.web.handler.hello.exec: unknown fact {piid} (did you mean pid?)
aem.toml:22: app.web.handler.hello.timeout: want a duration like "2s"
aem.toml:23: app.web.handler.hello.life: "capsul" is not one of cold, capsule, resident, zygote (did you mean capsule?)
aem.toml:24: app.web.handler.hello: unknown key "retires" (did you mean retries?)
aem.toml:27: app.web.event.hello: unknown type "socket.acept" (did you mean socket.accept?)
aem.toml:29: app.web.event.hello: unknown key "lissen" (did you mean listen?)
aem.toml:30: app.web.event.hello: priority 16 is above the app's priority_max 15
`)
}

// TestExample is a file with every section and key, reserved ones too.
func TestExample(t *testing.T) {
	text, err := os.ReadFile("testdata/every-key.toml")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{}
	for i, line := range strings.Split(string(text), "\n") {
		if _, mark, ok := strings.Cut(line, "#! "); ok {
			want = append(want, (config.Error{File: "aem.toml", Line: i + 1, Key: mark, Message: "not supported yet"}).Error())
		}
	}
	if len(want) == 0 {
		t.Fatal("the file marks no key as not supported yet")
	}
	checkLines(t, errorLines(t, string(text)), strings.Join(want, "\n"))
	f := parse(t, without(strings.Split(string(text), "\n"), -1))
	if len(f.Warnings) > 0 {
		t.Errorf("warnings: %v", f.Warnings)
	}
}

func TestSyntaxError(t *testing.T) {
	for text, want := range map[string]string{
		"a = 1\nb = ":          "aem.toml:2: ",
		"a = 1\n\na = 2":       "aem.toml:3: ",
		"[app]\nx = \"a\nb\"":  "aem.toml:2: ",
		"a = \"\xff\"":         "aem.toml:1: ",
		"x = [1, 2\n\ny = 3\n": "aem.toml:3: ",
	} {
		got := errorLines(t, text)
		if len(got) != 1 || !strings.HasPrefix(got[0], want) || len(got[0]) < len(want)+5 || strings.Contains(got[0], "\n") {
			t.Errorf("%q: %q, want one message at %q", text, got, want)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "aem.toml")
	if _, err := config.Load(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("load of no file: %v, want %v", err, os.ErrNotExist)
	}
	profile := filepath.Join(dir, "web.json")
	write(t, profile, `{"defaultAction": "SCMP_ACT_ALLOW"}`)
	write(t, file, hello+"[app.web.policy]\nseccomp = \"./web.json\"\n")
	f, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	a := f.Options.Apps[0]
	if a.Seccomp == nil || a.Seccomp.DefaultAction != "SCMP_ACT_ALLOW" || a.Seccomp.Name != profile {
		t.Errorf("seccomp %+v", a.Seccomp)
	}
	write(t, profile, `{"defaultAction": "ALLOW"}`)
	_, err = config.Load(file)
	if want := file + ":9: app.web.policy.seccomp: " + profile + ":1:"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("broken profile: %v, want %s...", err, want)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestPlace(t *testing.T) {
	f := parse(t, `[app.web]
[app.web.event]
tick = { type = "timer", every = "1s", handler = { exec = ["true"],
  handover = "none" } }

[app.web.event.tock]
type = "timer"
every = "1s"
handler = "tick"
`)
	for key, want := range map[string]string{
		"app.web":                       "aem.toml:1: app.web",
		"app.web.event.tick":            "aem.toml:3: app.web.event.tick",
		"app.web.event.tock.handler":    "aem.toml:9: app.web.event.tock.handler",
		"app.web.handler.tick":          "aem.toml:3: app.web.event.tick.handler",
		"app.web.handler.tick.handover": "aem.toml:4: app.web.event.tick.handler.handover",
		"app.web.event.tock.priority":   "aem.toml:6: app.web.event.tock.priority",
		"supervisor.grace":              "aem.toml:1: supervisor.grace",
	} {
		if got := f.Place(key); got != want {
			t.Errorf("place of %s: %q, want %q", key, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(hello)
	for _, c := range mistakes {
		f.Add(c.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		f, err := config.Parse("aem.toml", []byte(text))
		if err == nil {
			checkSources(t, f)
			return
		}
		var errs config.Errors
		if !errors.As(err, &errs) || len(errs) == 0 {
			t.Fatalf("error %v is no Errors", err)
		}
		for _, e := range errs {
			if e.Line < 1 || e.Line > 1+strings.Count(text, "\n") || e.Message == "" {
				t.Errorf("error without a place or message: %+v", e)
			}
		}
	})
}

// checkSources checks that what the text was allowed to say is something to detect.
func checkSources(t *testing.T, f *config.File) {
	for _, a := range f.Options.Apps {
		for _, e := range a.Events {
			if err := source.Check(e.Source); err != nil || len(e.Handlers) == 0 {
				t.Errorf("event %s: source %+v: %v, handlers %v", e.Name, e.Source, err, e.Handlers)
			}
		}
	}
}
