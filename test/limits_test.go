package test

import (
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestLimitHoldsListener has more clients than an app may have activations: they wait, and none is refused.
func TestLimitHoldsListener(t *testing.T) {
	s := start(t, myself(), `
[app.a.limits]
activations = 4
[app.a.event.in]
type = "socket.accept"
listen = "unix://$DIR/in.sock"
handler = { exec = ["cat"], handover = "socket", concurrency = 2 }
`)
	const clients = 40
	conns := make([]net.Conn, clients)
	for i := range conns {
		c, err := net.DialTimeout("unix", s.path("in.sock"), patience)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns[i] = c
	}
	j := s.until("a", "in", "held", func(j job) bool { return j.State == "held" && j.Counts.Running == 2 })
	if j.Hold == nil || j.Hold.Reason != "limit" || time.Since(j.Hold.Since) > patience || j.Counts != (counts{Detected: 4, Waiting: 2, Running: 2}) {
		t.Errorf("%+v", j)
	}
	var wg sync.WaitGroup
	for _, c := range conns {
		wg.Go(func() {
			if answer, err := talk(c, "hello"); answer != "hello" {
				t.Errorf("%q, %v", answer, err)
			}
		})
	}
	wg.Wait()
	j = s.until("a", "in", "armed", func(j job) bool { return j.State == "armed" && j.Counts.settled() == clients })
	if j.Hold != nil || j.Counts != (counts{Detected: clients, Done: clients}) {
		t.Errorf("%+v", j)
	}
	s.stop()
}

// TestLimitsOfTopics looks what publishers are told at a limit.
func TestLimitsOfTopics(t *testing.T) {
	slow := `handler = { exec = ["sh", "-c", "until [ -e go ]; do sleep 0.01; done"], handover = "data", concurrency = 1 }` + "\n"
	s := start(t, myself(), `
[app.few.limits]
activations = 2
[app.few.event.t]
type = "topic"
`+slow+`
[app.shed.limits]
activations = 2
[app.shed.event.t]
type = "topic"
full = "shed"
`+slow+`
[app.small.limits]
queue_bytes = "4KiB"
[app.small.event.t]
type = "topic"
`+slow)
	large := strings.Repeat("x", 3000)
	for _, c := range []struct {
		args   string
		status int
		says   string
	}{
		{"few/t", 0, "1 job"}, {"few/t", 0, "1 job"}, {"few/t", 111, ""}, {"few/t --wait", 111, ""},
		{"shed/t", 0, "1 job"}, {"shed/t", 0, "1 job"}, {"shed/t", 0, "1 job"}, {"shed/t --wait", 111, "shed/t  shed"},
		{"small/t --data " + large, 0, "1 job"}, {"small/t --data " + large, 0, "1 job"}, {"small/t --data x", 111, ""},
		{"small/t --data " + large + large, 2, ""}, // more than may ever wait
	} {
		if status, out := s.output(append([]string{"emit"}, strings.Fields(c.args)...)...); status != c.status || !strings.Contains(out, c.says) {
			t.Errorf("emit %.20s: exit status %d, want %d\n%s", c.args, status, c.status, out)
		}
	}
	for app, want := range map[string]counts{
		"few": {Detected: 2, Waiting: 1, Running: 1}, "shed": {Detected: 4, Shed: 2, Waiting: 1, Running: 1},
		"small": {Detected: 2, Waiting: 1, Running: 1},
	} {
		if c := s.job(app, "t").Counts; c != want {
			t.Errorf("%s: %+v, want %+v", app, c, want)
		}
	}
	s.write("go", "")
	for _, app := range []string{"few", "shed", "small"} {
		s.settled(app, "t", 2)
		s.until(app, "t", "armed", func(j job) bool { return j.State == "armed" })
		s.must("emit", app+"/t", "--wait")
	}
	s.stop()
}

// TestPriorityOrder emits a burst at mixed priorities, through several events of one handler that runs one at a time.
func TestPriorityOrder(t *testing.T) {
	var config strings.Builder
	config.WriteString(`
[app.a.handler.note]
exec = ["sh", "-c", "until [ -e go ]; do sleep 0.01; done; echo $AEM_EVENT $AEM_ID >>order"]
handover = "none"
concurrency = 1
`)
	priorities := []string{"0", "3", "10", "15"}
	for _, p := range priorities {
		config.WriteString("[app.a.event.p" + p + "]\ntype = \"topic\"\npriority = " + p + "\nhandler = \"note\"\n")
	}
	s := start(t, myself(), config.String())
	first := s.publish("a/p0", "") // it runs, and is not preempted
	s.until("a", "p0", "running", func(j job) bool { return j.Counts.Running == 1 })
	want := map[string][]string{}
	for i := range 40 {
		p := priorities[(i*7+i/3)%len(priorities)]
		want[p] = append(want[p], s.publish("a/p"+p, ""))
	}
	lines := []string{"p0 " + first}
	for _, p := range slices.Backward(priorities) {
		for _, id := range want[p] {
			lines = append(lines, "p"+p+" "+id)
		}
	}
	s.write("go", "")
	for _, p := range priorities {
		s.settled("a", "p"+p, len(want[p]))
	}
	s.until("a", "p0", "done", func(j job) bool { return j.Counts.Waiting+j.Counts.Running == 0 })
	order, err := os.ReadFile(s.path("order"))
	if err != nil || string(order) != strings.Join(lines, "\n")+"\n" {
		t.Errorf("%v\n%s\nwant\n%s", err, order, strings.Join(lines, "\n"))
	}
	s.stop()
}

// TestExampleOfLimits runs examples/limits.toml, with what this host has of it.
func TestExampleOfLimits(t *testing.T) {
	example, err := os.ReadFile("../examples/limits.toml")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(example), "[app.work.limits]")
	s := start(t, myself(), "[app.work.limits]"+strings.Replace(text, `exec = ["sleep", "10"]`, `exec = ["sh", "-c", "until [ -e go ]; do sleep 0.01; done"]`, 1))
	for range 4 {
		s.publish("work/do", "")
	}
	if status, out := s.output("emit", "work/do"); status != 111 {
		t.Errorf("%d: %s", status, out)
	}
	s.log.await(t, "work is at its limit: activations = 4, reached 1 times", "app=watch", "event=limit")
	s.log.await(t, "work is at its limit: processes = 2, reached 1 times")
	usage := s.must("ctl", "usage", "work")
	for _, row := range []string{`work +activations +4 +4 +4 +1 +\S+ \S+ +\S+ \S+`, `work +processes +2 +2 +2 +1 `, `work +jobs_of\."socket\.\*" +2 +0 +0 +0 +- +-`} {
		if !regexp.MustCompile(row).MatchString(usage) {
			t.Errorf("no %s in\n%s", row, usage)
		}
	}
	s.write("go", "")
	s.settled("work", "do", 4)
	s.must("emit", "work/do", "--wait")
	s.stop()
}
