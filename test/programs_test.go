package test

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// TestGitDaemon has git's own server, written for inetd, serve a repository.
func TestGitDaemon(t *testing.T) {
	aemtest.Require(t, aemtest.Program("git"))
	address := freeAddress(t)
	s := start(t, myself(), `
[app.git.event.in]
type = "socket.accept"
listen = "tcp://`+address+`"
handler = { exec = ["git", "daemon", "--inetd", "--export-all", "--base-path=$DIR"], handover = "socket" }
`)
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = s.dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
	}
	s.write("file", strings.Repeat("a line\n", 10_000))
	git("init", "-q", "served")
	git("-C", "served", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "empty")
	git("-C", "served", "--work-tree=..", "add", "../file")
	git("-C", "served", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "file")
	git("clone", "-q", "git://"+address+"/served", "cloned")
	if text, err := os.ReadFile(s.path("cloned/file")); err != nil || len(text) != 70_000 {
		t.Errorf("cloned file: %d bytes, %v", len(text), err)
	}
	if c := s.settled("git", "in", 1); c.Done != 1 {
		t.Errorf("%+v", c)
	}
	s.stop()
}

// TestPythonSocket has a Python script that knows nothing of us talk to a client.
func TestPythonSocket(t *testing.T) {
	aemtest.Require(t, aemtest.Python)
	s := start(t, myself(), `
[app.py.event.in]
type = "socket.accept"
listen = "unix://$DIR/in.sock"
handler = { exec = ["python3", "-c", "import sys,os; print(os.environ['PROTO'], sys.stdin.read().upper())"], handover = "socket" }
`)
	if answer, err := converse("unix", s.path("in.sock"), "hello"); answer != "IPC HELLO\n" {
		t.Errorf("%q, %v", answer, err)
	}
	s.settled("py", "in", 1)
	s.stop()
}

// TestPythonStdin looks at the event that a program reads from its standard input.
func TestPythonStdin(t *testing.T) {
	aemtest.Require(t, aemtest.Python)
	s := start(t, nobody(), `
[app.py.event.in]
type = "topic"
topic = "sub"
handler = { exec = ["python3", "-c", "import sys,json; print(json.dumps(json.load(sys.stdin), sort_keys=True))"], handover = "stdin" }
`)
	for _, c := range []struct{ data, want string }{
		{`{"a": [1, 2]}`, `"data":{"a":[1,2]},"datacontenttype":"application/json",`},
		{"no JSON\x00\xff", `"data_base64":"bm8gSlNPTgD/",`},
		{"", ""},
	} {
		id := s.publish("py/sub", c.data)
		var record struct{ Msg string }
		line := s.log.await(t, "app=py", "id="+id)
		_, quoted, _ := strings.Cut(line, "msg=")
		if err := json.NewDecoder(strings.NewReader(quoted)).Decode(&record.Msg); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		var event map[string]any
		decode(t, record.Msg, &event)
		time, _ := event["time"].(string)
		want := `{"attempt":1,"count":1,` + c.want + `"handler":"in","id":"` + id +
			`","source":"/py/in","specversion":"1.0","subject":"py/sub","time":"` + time + `","topic":"py/sub","type":"aem.topic"}`
		if got := string(must(json.Marshal(event))); got != want || !strings.HasSuffix(time, "Z") {
			t.Errorf("event %s\nwant  %s", got, want)
		}
	}
	s.stop()
}
