package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
)

// serve answers on a control socket of its own until the test ends, and is where the commands look for one.
func serve(t *testing.T, answer func(control.Request) control.Reply) {
	t.Helper()
	dir := t.TempDir()
	l, err := control.Listen(dir, 0o600, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- l.Serve(ctx, func(_ context.Context, _ control.Peer, req control.Request) control.Reply {
			return answer(req)
		}, slog.New(slog.DiscardHandler))
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		_ = l.Close()
	})
	t.Setenv("AEM_RUNTIME_DIR", dir)
}

var (
	at    = time.Date(2026, 3, 4, 5, 6, 7, 89, time.Local)
	cold  = "cold"
	order = aem.JobStatus{ID: aem.NewJobID(12, 7), App: "shop", Event: "order", Handler: "bill", Type: "topic",
		State: aem.Armed, Agent: "process", Life: &cold, Priority: 10, Last: &at,
		Counts: aem.Counts{Detected: 5, Done: 3, Failed: 1, Waiting: 1}}
	tick = aem.JobStatus{ID: aem.NewJobID(3, 1), App: "shop", Event: "tick", Handler: "log", Type: "timer",
		State: aem.Held, Agent: "callback", Priority: 31, Next: &at, Hold: &aem.Hold{Reason: "activations", Count: 2, Since: at}}
	used = &aem.HandlerArena{Arena: aem.Arena{Size: 1 << 16, Used: 128, Peak: 4096, Grown: 1, Full: 2, Copies: 3, Bytes: 1000, Short: 1},
		Processes: []aem.ProcessArena{{PID: 77, Arena: aem.Arena{Size: 1 << 16}}}}
	letter = control.Letter{ID: 42, Job: "shop/order", Type: "topic", Time: at, Failed: at, Reason: aem.ReasonExit, Attempts: 4,
		Size: 5, Facts: []control.Fact{{Name: "topic", Value: "shop/order"}, {Name: "peer", Value: "a\tb\x1b[2J"}}, Failure: "failed app=shop"}
)

// canned is what the supervisor of these tests knows.
func canned(req control.Request) control.Reply {
	switch req.Op {
	case control.OpList:
		return control.Done([]aem.JobStatus{order, tick})
	case control.OpLookup:
		return control.Done([]control.Lookup{{JobStatus: tick, Arena: used, NextRuns: []time.Time{at}, Failures: []string{"failed app=shop"}}})
	case control.OpFire:
		return control.Done([]control.Touched{{ID: order.ID, Job: "shop/order", Event: 42}})
	case control.OpStart, control.OpStop, control.OpRemove:
		return control.Done([]control.Touched{{ID: order.ID, Job: "shop/order"}, {ID: tick.ID, Job: "shop/tick"}})
	case control.OpEmit:
		return emitted(req)
	case control.OpDeadList:
		return control.Done([]control.Letter{letter})
	case control.OpDeadShow:
		reply := control.Done(letter)
		reply.Data = []byte("hello")
		return reply
	case control.OpDeadReplay:
		return control.Done([]control.Replayed{{ID: 43, Of: req.IDs[0]}})
	case control.OpDeadDrop:
		return control.Done(req.IDs)
	}
	return control.Refuse(syscall.EIO, "unexpected %v", req.Op)
}

// emitted does with the event what its data says.
func emitted(req control.Request) control.Reply {
	result := control.Emitted{ID: 42, Jobs: 2}
	switch {
	case string(req.Data) == "full":
		return control.Refuse(syscall.EAGAIN, "shop is at its limit")
	case req.Wait:
		result.Fates = []control.Fate{{Job: "shop/order", Outcome: "done"}, {Job: "shop/audit", Outcome: string(req.Data), Reason: "exit"}}
	}
	return control.Done(result)
}

func TestOutput(t *testing.T) {
	serve(t, canned)
	for _, row := range []struct {
		args, stdin string
		status      int
		stdout      string
	}{
		{args: "ctl list", stdout: `
ID    EVENT       HANDLER  TYPE   STATE               AGENT         PRIO  DETECTED  DONE  FAILED  EXPIRED  SHED  WAITING  RUNNING  LAST                 NEXT
12:7  shop/order  bill     topic  armed               process cold  10    5         3     1       0        0     1        0        2026-03-04 05:06:07  -
3:1   shop/tick   log      timer  held (activations)  callback      31    0         0     0       0        0     0        0        -                    2026-03-04 05:06:07
`},
		{args: "ctl lookup shop/tick", stdout: `
job       shop/tick:log
id        3:1
type      timer
state     held (activations)
agent     callback
priority  31
last      -
next      2026-03-04 05:06:07
counts    detected=0 done=0 failed=0 expired=0 shed=0 waiting=0 running=0
held      activations, 2 kept since 2026-03-04 05:06:07
arena     size=65536 used=128 peak=4096 grown=1 full=2 copies=3 bytes=1000 short=1
arena     pid=77 size=65536 used=0 peak=0 grown=0 full=0 copies=0 bytes=0 short=0
failed app=shop
`},
		{args: "ctl start shop/*", stdout: "\nstarted 12:7 shop/order\nstarted 3:1 shop/tick\n"},
		{args: "ctl shutdown --all", stdout: "\nremoved 12:7 shop/order\nremoved 3:1 shop/tick\n"},
		{args: "ctl fire 12:7", stdout: "\nfired 12:7 shop/order event 42\n"},
		{args: "emit shop/order --data x", stdout: "\n42: 2 jobs\n"},
		{args: "emit shop/order --wait --data -", stdin: "done", stdout: `
JOB         OUTCOME  REASON
shop/order  done     -
shop/audit  done     exit
`},
		{args: "emit shop/order --wait --data failed", status: 1, stdout: `
JOB         OUTCOME  REASON
shop/order  done     -
shop/audit  failed   exit
`},
		{args: "emit shop/order --data full", status: 111, stdout: "\n"},
		{args: "ctl dead list", stdout: `
ID  JOB         TYPE   FAILED               REASON  ATTEMPTS  SIZE
42  shop/order  topic  2026-03-04 05:06:07  exit    4         5
`},
		{args: "ctl dead show 42", stdout: `
id        42
job       shop/order
type      topic
detected  2026-03-04 05:06:07
failed    2026-03-04 05:06:07
reason    exit
attempts  4
topic     shop/order
peer      "a\tb\x1b[2J"
data      5 bytes
failed app=shop

hello
`},
		{args: "ctl dead show --raw 42", stdout: "\nhello"},
		{args: "ctl dead replay 42", stdout: "\nDEAD  REPLAYED AS\n42    43\n"},
		{args: "ctl dead drop 42,43", stdout: "\nDROPPED\n42\n43\n"},
	} {
		status, stdout, stderr := command(t, row.stdin, strings.Fields(row.args)...)
		if status != row.status || "\n"+stdout != row.stdout {
			t.Errorf("aem-exec %s: %d%s\n%s, want %d%s", row.args, status, "\n"+stdout, stderr, row.status, row.stdout)
		}
	}
}

// TestListJSON compares `ctl list --json` with its documented keys, byte for byte.
func TestListJSON(t *testing.T) {
	serve(t, canned)
	stamp := at.Format(time.RFC3339Nano)
	want := fmt.Sprintf(`[{"id":"12:7","app":"shop","event":"order","handler":"bill","type":"topic","state":"armed",`+
		`"agent":"process","life":"cold","priority":10,"last":%q,"next":null,"hold":null,`+
		`"counts":{"detected":5,"done":3,"failed":1,"expired":0,"shed":0,"waiting":1,"running":0}},`+
		`{"id":"3:1","app":"shop","event":"tick","handler":"log","type":"timer","state":"held",`+
		`"agent":"callback","life":null,"priority":31,"last":null,"next":%q,"hold":{"reason":"activations","count":2,"since":%q},`+
		`"counts":{"detected":0,"done":0,"failed":0,"expired":0,"shed":0,"waiting":0,"running":0}}]`, stamp, stamp, stamp)
	status, stdout, _ := command(t, "", "ctl", "list", "--json")
	var list json.RawMessage
	if err := json.Unmarshal([]byte(stdout), &list); err != nil || status != 0 {
		t.Fatalf("%d, %v: %s", status, err, stdout)
	}
	got, err := json.Marshal(list) // without the indentation
	if err != nil || string(got) != want {
		t.Errorf("%s, %v\nwant\n%s", got, err, want)
	}
}

// TestEmptyJSON looks at verbs whose supervisor knows nothing: an empty array, never null.
func TestEmptyJSON(t *testing.T) {
	serve(t, func(control.Request) control.Reply { return control.Done(nil) })
	for _, args := range []string{"ctl list", "ctl lookup --all", "ctl start --all", "ctl usage", "ctl dead list", "ctl dead drop --all", "ctl dead replay --all"} {
		status, stdout, stderr := command(t, "", append(strings.Fields(args), "--json")...)
		if status != 0 || stdout != "[]\n" {
			t.Errorf("%s --json: %d, %q, %q, want []", args, status, stdout, stderr)
		}
	}
}

func TestRefusalIsPrinted(t *testing.T) {
	serve(t, func(control.Request) control.Reply { return control.Refuse(syscall.ENOENT, "no job matches a/b") })
	status, stdout, stderr := command(t, "", "ctl", "stop", "a/b")
	if status != exitFailed || stdout != "" || stderr != "aem-exec: no job matches a/b\n" {
		t.Errorf("%d, %q, %q", status, stdout, stderr)
	}
}

func TestBinaryDataIsDumped(t *testing.T) {
	for _, row := range []struct{ data, want string }{
		{"", ""},
		{"text\nmore\t\"é\"", "\ntext\nmore\t\"é\"\n"},
		{"\x1b[2J", "\n00000000  1b 5b 32 4a                                       |.[2J|\n\n"},
		{"\xff", "\n00000000  ff                                                |.|\n\n"},
	} {
		var out strings.Builder
		if err := (&program{out: &out}).printData([]byte(row.data)); err != nil || out.String() != row.want {
			t.Errorf("%q: %q, %v, want %q", row.data, out.String(), err, row.want)
		}
	}
}
