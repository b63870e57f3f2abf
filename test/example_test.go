package test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestExampleAsNobody runs configs/aem.toml as somebody without any rights: no root, no cgroup, no /run.
func TestExampleAsNobody(t *testing.T) {
	s := prepare(t, nobody(), "")
	echo, hello := freeAddress(t), freeAddress(t) // others may have those of the file
	example, err := os.ReadFile("../configs/aem.toml")
	if err == nil {
		err = os.CopyFS(s.path("examples"), os.DirFS("../examples"))
	}
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("../", "", "127.0.0.1:7007", echo, "127.0.0.1:7008", hello).Replace(string(example))
	s.write("aem.toml", text)
	s.run()
	if ready := s.log.await(t, "ready: "); !regexp.MustCompile(`^ready: 6 jobs, 2 apps, control \S+/run/control.sock$`).MatchString(ready) {
		t.Error(ready)
	}

	echoes(t, "tcp", echo, 20, 5)
	if answer, err := converse("tcp", hello, "you\n"); answer != "hello you from 127.0.0.1\n" {
		t.Errorf("hello: %q, %v", answer, err)
	}
	for i := range 2 {
		out := s.must("emit", "shop/visit", "--data", "front page", "--wait")
		if !strings.Contains(out, "shop/visit  done") {
			t.Error(out)
		}
		s.log.await(t, `msg="`+itoa(i+1)+` shop/visit front page"`, "app=shop", "handler=counter", "event=visit", "stream=stdout")
	}
	s.must("emit", "shop/order", "--data", `{"sku": 7}`, "--wait")
	s.log.await(t, "sku 7", "handler=order", "stream=stdout")
	if status, out := s.output("emit", "shop/order", "--data", "no JSON", "--wait"); status != 1 || !strings.Contains(out, "shop/order:order    failed   exit") {
		t.Errorf("%d: %s", status, out)
	}
	s.log.await(t, "tick, 1 due", "app=shop", "event=tick")

	lives := map[string]string{}
	for _, j := range s.list() {
		life := ""
		if j.Life != nil {
			life = *j.Life
		}
		lives[j.Event+":"+j.Handler] = strings.TrimSpace(j.Type + " " + j.State + " " + j.Agent + " " + life)
		if j.Last == nil || time.Since(*j.Last) > time.Minute || (j.Next != nil) != (j.Type == "timer") || j.Hold != nil || j.Priority == 0 {
			t.Errorf("job %+v", j)
		}
	}
	want := map[string]string{
		"echo:echo": "socket.accept armed process capsule", "hello:hello": "socket.accept armed process cold",
		"tick:tick": "timer armed callback", "visit:counter": "topic armed process resident",
		"order:order": "topic armed process cold", "order:archive": "topic armed process cold",
	}
	if got, _ := json.Marshal(lives); string(got) != string(must(json.Marshal(want))) {
		t.Errorf("jobs %s", got)
	}
	s.stop()
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
