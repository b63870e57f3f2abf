package attach

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/handler"
	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// given is a handler that attaches itself over the connection that it was started with, and says what it may.
func given() {
	told := make(chan string, 1)
	go func() {
		ctx := context.Background()
		a, err := handler.Attach(ctx, "a", settings(table{}))
		if err != nil {
			told <- err.Error()
			return
		}
		id := must(a.Register(ctx, "own", table{"type": "topic"}, func(_ context.Context, e *handler.Event) error {
			return e.Reply([]byte(strings.ToUpper(string(e.Data))))
		}))
		must(0, a.Start(ctx, id))
		say := []string{fmt.Sprint("a ", len(must(control.ResultOf[[]aem.JobStatus](must(a.Do(ctx, control.Request{Op: control.OpList})))))), " jobs"}
		for _, req := range []control.Request{
			{Op: control.OpStop, Selectors: must(control.ParseSelectors([]string{"b/secret"}))},
			{Op: control.OpEmit, Topic: "b/secret"},
			{Op: control.OpReload},
			{Op: control.OpAttach, App: "b"},
		} {
			_, err := a.Do(ctx, req)
			say = append(say, fmt.Sprint(req.Op, " ", int(errno(err))))
		}
		_, err = handler.Attach(ctx, "a")
		say = append(say, fmt.Sprint("again ", err != nil))
		told <- strings.Join(say, ", ")
		must(a.Keepalive(ctx)) // until the process ends
	}()
	handler.Run(func(_ context.Context, e *handler.Event) error { return e.Reply([]byte(<-told)) })
}

// TestHandlerAttachesOverItsOwnConnection_R058_R079 has a handler of another user, in a sandbox and with no way to the control
// socket, register an event for itself. It may act on its own app and nothing else, also when it runs as root does, and
// what it has registered ends with it.
func TestHandlerAttachesOverItsOwnConnection_R058_R079(t *testing.T) {
	const other = "[app.b.event.secret]\ntype = \"topic\"\nhandler = { agent = \"callback\", call = \"log\" }\n"
	for name, user := range map[string]string{"nobody": "user = \"nobody\"\n", "the supervisor's own": ""} {
		t.Run(name, func(t *testing.T) {
			if user != "" {
				aemtest.Require(t, aemtest.Root)
			}
			w := serve(t, other)
			text := other + "[app.a]\n" + user + `
[app.a.handler.h]
exec = ["/usr/bin/env", "AEM_TEST_PROGRAM=given", "` + w.executable(65534) + `"]
handover = "direct"
life = "resident"
control = true
ready_timeout = "` + patience.String() + `"
env = { GORACE = "atexit_sleep_ms=0" }
[app.a.event.ask]
type = "topic"
handler = "h"
[app.a.event.die]
type = "topic"
handler = { exec = ["sh", "-c", "exit 1"], handover = "none", retries = 0 }
`
			if _, err := w.Reload(w.options(text)); err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf("a 3,  jobs, stop %d, emit %d, reload %d, attach %d, again true", syscall.ENOENT, syscall.EPERM, syscall.EPERM, syscall.EISCONN)
			if fates := w.emit("a/ask", ""); fates[0].Outcome != "done" || string(fates[0].Reply) != want {
				t.Errorf("%s: %q, want %q", fates[0].Outcome, fates[0].Reply, want)
			}
			if fates := w.emit("a/own", "hello"); fates[0].Outcome != "done" || string(fates[0].Reply) != "HELLO" {
				t.Errorf("%+v", fates[0])
			}
			without := strings.Replace(text, "control = true\n", "", 1)
			if _, err := w.Reload(w.options(without)); err != nil {
				t.Fatal(err)
			}
			w.await("what it had registered is gone", func() bool { return len(w.jobs()) == 3 })
			if fates := w.emit("a/ask", ""); !strings.Contains(string(fates[0].Reply), "connect to") && !strings.Contains(string(fates[0].Reply), "no supervisor") {
				t.Errorf("without the key: %q", fates[0].Reply)
			}
		})
	}
}

// TestSDKsTakeTheGivenConnection_R058 has handlers in C and Python do the same: what they register is theirs.
func TestSDKsTakeTheGivenConnection_R058(t *testing.T) {
	for _, file := range []string{"testdata/given.py", "testdata/given.c"} {
		t.Run(file, func(t *testing.T) {
			w := serve(t, "[app.a]\n")
			command := w.command(file, 0, nil)
			for i, arg := range command.Args {
				if path, err := filepath.Abs(arg); i > 0 && err == nil {
					command.Args[i] = path
				}
			}
			if err := os.Remove(filepath.Join(w.dir, "control.sock")); err != nil { // nobody comes by it any more
				t.Fatal(err)
			}
			o := w.options(`
[app.a.handler.h]
exec = ["` + strings.Join(command.Args, `", "`) + `"]
handover = "direct"
life = "resident"
control = true
ready_timeout = "1h"
kill_after = "0s"
env = { PYTHONPATH = "` + must(filepath.Abs("../../sdk/python")) + `", PYTHONDONTWRITEBYTECODE = "1" }
`)
			if _, err := w.Reload(o); err != nil {
				t.Fatal(err)
			}
			w.await("its job is there", func() bool {
				for _, j := range w.Jobs() {
					if strings.HasPrefix(j.Handler, "attached-") && j.State == aem.Armed {
						return true
					}
				}
				return false
			})
		})
	}
}
