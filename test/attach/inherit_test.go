package attach

import (
	"context"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/handler"
	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// TestInheritance: a program with the token of another gets jobs like those that were registered for it, with ids of
// its own, and keeps them as long as it lives.
func TestInheritance_R108(t *testing.T) {
	w := serve(t, files)
	a := w.attach("a")
	made, err := a.RegisterAll(t.Context(),
		handler.Registration{Name: "kept", Event: table{"type": "topic", "start": true}, Inherit: true, Do: func(_ context.Context, e *handler.Event) error { return e.Reply([]byte("parent")) }},
		handler.Registration{Name: "own", Event: table{"type": "topic", "start": true}, Do: nothing})
	if err != nil {
		t.Fatal(err)
	}
	parent := made[0][0]
	p := w.start("fork", 0, a.Token())
	words := strings.Fields(p.says("inherited "))
	p.says("ready")
	if len(words) != 2 || words[1] != parent.String() || words[0] == words[1] {
		t.Fatalf("inherited %q of %v", words, parent)
	}
	reply, err := w.ask(control.Request{Op: control.OpLookup, All: true})
	if err != nil {
		t.Fatal(err)
	}
	parents := map[string]aem.JobID{}
	for _, l := range must(control.ResultOf[[]control.Lookup](reply)) {
		parents[l.ID.String()] = l.Parent
	}
	if len(parents) != 3 || parents[words[0]] != parent || parents[parent.String()] != 0 {
		t.Errorf("parents %v", parents)
	}

	done := make(chan []control.Fate)
	go func() { done <- w.emit("a/kept", "") }()
	var fates []control.Fate
	w.handle(a, func() bool {
		select {
		case fates = <-done:
			return true
		default:
			return false
		}
	})
	var replies []string
	for _, f := range fates {
		replies = append(replies, string(f.Reply))
	}
	if got := strings.Join(replies, ","); !strings.Contains(got, "parent") || !strings.Contains(got, "child "+strconv.Itoa(p.Process.Pid)) || len(replies) != 2 {
		t.Errorf("replies %q", got)
	}

	a.Close()
	w.await("the parent's jobs are gone, the child's are not", func() bool { return len(w.jobs()) == 1 })
	if f := w.emit("a/kept", ""); len(f) != 1 || !strings.HasPrefix(string(f[0].Reply), "child") {
		t.Errorf("after the parent's end: %+v", f)
	}
	p.in.Close() //nolint:errcheck // that is what ends it
	w.await("nothing is left", func() bool { return len(w.jobs()) == 0 })
	if strings.Contains(w.logs.String(), a.Token()) {
		t.Error("the token is in the log")
	}
}

// TestEvctlInherits has a program in C fork: its child knows its jobs by the ids of its parent's.
func TestEvctlInherits_R108(t *testing.T) {
	aemtest.Require(t, aemtest.CC)
	w := serve(t, files)
	t.Setenv("AEM_APP", "a")
	p := w.start("testdata/inherit.c", 0)
	t.Cleanup(func() { p.in.Close() }) //nolint:errcheck // its forks wait for it
	say := func(want ...string) {
		t.Helper()
		for _, want := range want {
			if got := <-p.lines; got != want {
				t.Fatalf("it says %q, want %q", got, want)
			}
		}
	}
	say("nobody 3", "attached 114, refused 22", "inherited 1, descriptors 0, again 114", "kept 0 stopped, not kept 2, removed 2", "ticks 1, fresh 1", "look")
	reply, err := w.ask(control.Request{Op: control.OpLookup, All: true})
	if err != nil {
		t.Fatal(err)
	}
	parents, handlers := 0, map[string]int{}
	for _, l := range must(control.ResultOf[[]control.Lookup](reply)) {
		handlers[l.Handler]++
		if l.Parent != 0 {
			parents++
		}
	}
	if parents != 1 || len(handlers) != 2 {
		t.Errorf("%d jobs have a parent, handlers %v", parents, handlers)
	}
	io.WriteString(p.in, "\n") //nolint:errcheck // it is waited for
	say("child 0, parent 0")
	w.await("nothing is left", func() bool { return len(w.jobs()) == 0 })
	io.WriteString(p.in, "\n") //nolint:errcheck // it is waited for
	say("orphan 1", "afresh 1")
}
